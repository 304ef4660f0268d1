//! The texts of the files by which nodes find names, as the plan has them.

use std::sync::Arc;

use crate::error::Failure;
use crate::lab::build::etc_files::own;
use crate::lab::fabric::node::{Made, Texts};
use crate::lab::fabric::on_thread;
use crate::lab::plan::Plan;
use crate::sys::lock::lock;

/// Texts of each node, by position. Equal ones are shared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names(Vec<Texts>);

impl Names {
    pub(crate) fn of(plan: &Plan) -> Self {
        let mut known: Vec<Arc<str>> = Vec::new();
        let mut share = |text: &str| {
            let shared = known.iter().find(|one| ***one == *text).cloned();
            shared.unwrap_or_else(|| {
                let new: Arc<str> = Arc::from(text);
                known.push(Arc::clone(&new));
                new
            })
        };
        let nodes = 0..plan.nodes().len();
        let texts = nodes.map(|node| Texts {
            hosts: share(&plan.hosts_text_of(node)),
            resolver: share(&plan.resolver_text_of(node)),
        });
        Self(texts.collect())
    }

    /// Returns the texts of a node.
    pub(crate) fn at(&self, node: usize) -> &Texts {
        &self.0[node]
    }

    /// Writes the texts of a node, called `name`, to its files, except files that it has changed.
    /// It is not the caller's own.
    pub(crate) fn give(&self, node: usize, (name, made): (&str, &Made)) -> Result<(), Failure> {
        let (texts, mut files) = (self.at(node), lock(&made.files));
        if files.texts == *texts {
            return Ok(());
        }
        let files = &mut *files;
        on_thread::within(&made.place, name, || own::update(name, files, texts))
    }
}
