//! Named conditions of networks. docs/BAD-NETWORKS.md has the source of each number. Pure.
