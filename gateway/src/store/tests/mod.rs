mod backup;
mod large;
mod messages;
mod relations;
