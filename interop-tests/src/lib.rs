//! Black-box tests of the binaries against real peers.
