//! A batch of changes of one table. The kernel carries out all of them or none,
//! and packets see the rules before or after the whole batch.

use crate::error::Failure;
#[cfg(feature = "lab")]
use crate::netlink::message::attribute;
use crate::netlink::message::framed;
#[cfg(feature = "lab")]
use crate::netlink::nft::IPV4;
use crate::netlink::nft::fields::text;
#[cfg(feature = "lab")]
use crate::netlink::nft::fields::{nested, word};
use crate::netlink::nft::socket::{ACK, Nft, REQUEST};
#[cfg(feature = "lab")]
use crate::netlink::nft::{Element, Rule, Set};
use crate::netlink::nft::{INET, NFTABLES};
use crate::sys::errno;

/// `NFNL_MSG_BATCH_BEGIN`, `NFNL_MSG_BATCH_END`
const BEGIN: u16 = 0x10;
const END: u16 = 0x11;
/// `NLM_F_EXCL`, `NLM_F_CREATE`, `NLM_F_APPEND`
#[cfg(feature = "doctor")]
const EXCL: u16 = 0x200;
const CREATE: u16 = 0x400;
#[cfg(feature = "lab")]
const APPEND: u16 = 0x800;

/// Most elements in one message, whose list has at most 64 KiB.
#[cfg(feature = "lab")]
const AT_ONCE: usize = 400;

/// Changes of a table, in order.
#[derive(Debug)]
pub(crate) struct Batch {
    family: u8,
    table: String,
    changes: Vec<Change>,
    /// Number of the last set, by which the kernel distinguishes new sets.
    #[cfg(feature = "lab")]
    sets: u32,
}

#[derive(Debug)]
struct Change {
    step: &'static str,
    /// Object in an error.
    object: String,
    /// Modules that the kernel needs for it besides `nf_tables`.
    modules: Vec<&'static str>,
    kind: u16,
    flags: u16,
    attributes: Vec<u8>,
}

/// A hook of a base chain (`enum nf_inet_hooks`), and its priority there.
#[cfg(feature = "lab")]
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hook {
    Prerouting = 0,
    Input = 1,
    Forward = 2,
    Output = 3,
    Postrouting = 4,
}

impl Batch {
    /// Creates an empty batch for the table of family `inet` with this name.
    pub(crate) fn new(table: &str) -> Self {
        Self::of(INET, table)
    }

    /// Creates an empty batch for the table of family `ip` with this name.
    #[cfg(feature = "lab")]
    pub(crate) fn ipv4(table: &str) -> Self {
        Self::of(IPV4, table)
    }

    fn of(family: u8, table: &str) -> Self {
        Self {
            family,
            table: table.to_owned(),
            changes: Vec::new(),
            #[cfg(feature = "lab")]
            sets: 0,
        }
    }

    /// Adds the table if there is none.
    #[cfg(feature = "lab")]
    pub(crate) fn add_table(&mut self) {
        self.change("add", "", 0, CREATE, &[]);
    }

    /// Adds the table, which must not exist.
    #[cfg(feature = "doctor")]
    pub(crate) fn add_new_table(&mut self) {
        self.change("add", "", 0, CREATE | EXCL, &[]);
    }

    /// Deletes the table with all that it holds.
    pub(crate) fn delete_table(&mut self) {
        self.change("delete", "", 2, 0, &[]);
    }

    /// Deletes all rules of the table.
    #[cfg(feature = "lab")]
    pub(crate) fn delete_rules(&mut self) {
        self.change("delete", "rules of ", 8, 0, &[]);
    }

    /// Deletes all rules of a chain.
    #[cfg(feature = "lab")]
    pub(crate) fn delete_rules_of(&mut self, chain: &str) {
        self.change("delete", &format!("rules of chain {chain} of "), 8, 0, &text(2, chain));
    }

    /// Deletes a chain without rules.
    #[cfg(feature = "lab")]
    pub(crate) fn delete_chain(&mut self, name: &str) {
        self.change("delete", &format!("chain {name} of "), 5, 0, &text(3, name));
    }

    /// Deletes a set that no rule uses.
    #[cfg(feature = "lab")]
    pub(crate) fn delete_set(&mut self, name: &str) {
        self.change("delete", &format!("set {name} of "), 11, 0, &text(2, name));
    }

    /// Adds a chain to which rules jump.
    #[cfg(feature = "lab")]
    pub(crate) fn chain(&mut self, name: &str) {
        self.change("add", &format!("chain {name} of "), 3, CREATE, &text(3, name));
    }

    /// Adds a chain of a type, `filter` or `nat`, to a hook. What no rule decides about passes.
    #[cfg(feature = "lab")]
    pub(crate) fn base_chain(&mut self, name: &str, kind: &str, hook: Hook, priority: i32) {
        let place = [word(1, hook as u32), attribute(2, &priority.to_be_bytes())].concat();
        let fields = [text(3, name), nested(4, &place), word(5, 1), text(7, kind)].concat();
        let object = format!("chain {name} of ");
        self.change("add", &object, 3, CREATE, &fields);
        if kind == "nat" {
            self.needs(&["nft_chain_nat"]);
        }
    }

    /// Adds a set or map.
    #[cfg(feature = "lab")]
    pub(crate) fn set(&mut self, set: &Set) {
        self.sets += 1;
        let fields = set.attributes(self.sets);
        self.change("add", &format!("set {} of ", set.name), 9, CREATE, &fields);
    }

    /// Adds elements to a set or map.
    #[cfg(feature = "lab")]
    pub(crate) fn elements(&mut self, set: &str, elements: &[Element]) {
        for some in elements.chunks(AT_ONCE) {
            let list: Vec<u8> = some.iter().flat_map(|one| nested(1, &one.attributes())).collect();
            let fields = [text(2, set), nested(3, &list)].concat();
            self.change("add", &format!("elements of set {set} of "), 12, CREATE, &fields);
        }
    }

    /// Deletes all elements of a set or map.
    #[cfg(feature = "lab")]
    pub(crate) fn flush_set(&mut self, set: &str) {
        self.change("flush", &format!("set {set} of "), 14, 0, &text(2, set));
    }

    /// Deletes an element of a set or map. One that is not there is no error.
    #[cfg(feature = "lab")]
    pub(crate) fn forget_element(
        nft: &mut Nft,
        table: &str,
        set: &str,
        key: &[u8],
    ) -> Result<(), Failure> {
        let mut batch = Self::new(table);
        let element = Element { key: key.to_vec(), ..Element::default() };
        let list = nested(3, &nested(1, &element.attributes()));
        let fields = [text(2, set), list].concat();
        batch.change("delete", &format!("an element of set {set} of "), 14, 0, &fields);
        match batch.commit(nft) {
            Err(failure) if failure.errno == Some(errno::ENOENT) => Ok(()),
            done => done,
        }
    }

    /// Appends a rule to a chain.
    #[cfg(feature = "lab")]
    pub(crate) fn rule(&mut self, chain: &str, rule: &Rule) {
        let fields = [text(2, chain), rule.attributes()].concat();
        let object = format!("rule {:?} to chain {chain} of ", rule.text());
        self.change("add", &object, 6, CREATE | APPEND, &fields);
        self.needs(&rule.modules());
    }

    /// Carries out all changes, or none of them.
    pub(crate) fn commit(self, nft: &mut Nft) -> Result<(), Failure> {
        let count = self.changes.len() as u32;
        if count == 0 {
            return Ok(());
        }
        let result = nft.send_all(count, |first| self.bytes(first));
        result.map_err(|(index, error)| self.failure(index, &error))
    }

    /// Returns the messages, of which the first one has this number.
    pub(crate) fn bytes(&self, first: u32) -> Vec<u8> {
        let around = [0, 0, 0, 10];
        let mut bytes = framed(BEGIN, REQUEST, first, &around);
        let mut number = first;
        for (index, change) in self.changes.iter().enumerate() {
            number = number.wrapping_add(1);
            // Kernels before 6.10 acknowledge neither begin nor end, and an acknowledgement of each
            // message overflows the buffer of the socket. Errors come anyway.
            let ack = if index + 1 == self.changes.len() { ACK } else { 0 };
            let table = text(1, &self.table);
            let body = [&[self.family, 0, 0, 0], &table[..], &change.attributes].concat();
            bytes.extend(framed(
                NFTABLES | change.kind,
                REQUEST | ack | change.flags,
                number,
                &body,
            ));
        }
        bytes.extend(framed(END, REQUEST, number.wrapping_add(1), &around));
        bytes
    }

    fn change(&mut self, step: &'static str, what: &str, kind: u16, flags: u16, fields: &[u8]) {
        let object = format!("{what}{}", self.name());
        let (attributes, modules) = (fields.to_vec(), Vec::new());
        self.changes.push(Change { step, object, modules, kind, flags, attributes });
    }

    fn name(&self) -> String {
        let family = if self.family == INET { "inet" } else { "ip" };
        format!("nftables table {family} {}", self.table)
    }

    #[cfg(feature = "lab")]
    fn needs(&mut self, modules: &[&'static str]) {
        let last = self.changes.last_mut().expect("there is one");
        last.modules.extend(modules);
    }

    /// Returns the failure of a message; 0 is the begin of the batch.
    pub(super) fn failure(&self, index: usize, error: &std::io::Error) -> Failure {
        let Some(change) = index.checked_sub(1).and_then(|index| self.changes.get(index)) else {
            let object = self.name();
            let failure = errno::failure("change", object, error);
            let lacks = [errno::EOPNOTSUPP, errno::EINVAL].contains(&failure.errno.unwrap_or(0));
            return if lacks { failure.advise(lacking("nf_tables")) } else { failure };
        };
        let failure = errno::failure(change.step, change.object.as_str(), error);
        let is_missing = [errno::ENOENT, errno::EOPNOTSUPP, errno::EAFNOSUPPORT];
        if change.modules.is_empty() || !is_missing.contains(&failure.errno.unwrap_or(0)) {
            return failure;
        }
        failure.advise(lacking(&change.modules.join(", ")))
    }
}

/// Advises on a kernel that has no such part.
fn lacking(modules: &str) -> String {
    format!(
        "the kernel may lack a part that this needs: {modules}; load the module on the machine \
         (`modprobe`), or use a kernel that has it"
    )
}
