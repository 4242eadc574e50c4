mod elsewhere;
mod lab;
mod paths;
