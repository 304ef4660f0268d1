//! Explains why a test has failed: from facts to causes, each with its proof and what to try. Pure.
