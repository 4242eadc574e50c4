//! Documents that travel inside messages, free of transport.
