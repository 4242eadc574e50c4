mod answers;
mod elsewhere;
mod lab;
mod paths;
mod presence;
