//! Field tables between one side's syntax and the model: no state, no time.
