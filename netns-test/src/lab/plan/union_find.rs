//! Union-find over indexes: which segments switches join, and which regions routers join. Pure.

/// Disjoint sets of the indexes below a count. The root of a set is its lowest index.
#[derive(Debug)]
pub(crate) struct UnionFind {
    /// Parent of each index, never higher than the index itself.
    parents: Vec<usize>,
}

impl UnionFind {
    /// Creates one set for each index below `count`.
    pub(crate) fn new(count: usize) -> Self {
        Self { parents: (0..count).collect() }
    }

    /// Merges the sets of `a` and `b`. Returns false if they were one set already.
    pub(crate) fn union(&mut self, a: usize, b: usize) -> bool {
        let (a, b) = (self.root(a), self.root(b));
        self.parents[a.max(b)] = a.min(b);
        a != b
    }

    /// Returns the root of each index.
    pub(crate) fn into_roots(mut self) -> Vec<usize> {
        for index in 0..self.parents.len() {
            // A parent is lower, so its own root is known already.
            self.parents[index] = self.parents[self.parents[index]];
        }
        self.parents
    }

    /// Finds the root of `at` and halves the path to it.
    fn root(&mut self, mut at: usize) -> usize {
        while self.parents[at] != at {
            self.parents[at] = self.parents[self.parents[at]];
            at = self.parents[at];
        }
        at
    }
}

#[test]
fn the_root_of_a_set_is_its_lowest_index() {
    let mut sets = UnionFind::new(6);
    assert!(sets.union(4, 5));
    assert!(sets.union(1, 4));
    assert!(!sets.union(5, 1));
    assert!(sets.union(3, 2));
    assert_eq!(sets.into_roots(), [0, 1, 2, 2, 1, 1]);
}
