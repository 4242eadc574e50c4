mod large;
mod messages;
mod relations;
