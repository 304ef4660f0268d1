//! Questions that other servers have been asked, over the network of the lab.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::lab::dns::answer::Answer;
use crate::lab::dns::recurse::Errand;
use crate::lab::dns::serve::peer::Peer;
use crate::lab::dns::serve::socket::{Bound, PORT};
use crate::lab::dns::state::Case;
use crate::lab::dns::wire;
use crate::sys::net::datagram;

/// Time for a server to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Client, its query, and what others are asked for it.
type Asked = (Peer, Case, Errand);

/// Questions without an answer yet.
#[derive(Debug, Default)]
pub(crate) struct Upstream {
    /// Id of the last one.
    last: u16,
    open: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    id: u16,
    bound: Arc<Bound>,
    server: SocketAddr,
    until: Instant,
    asked: Asked,
}

impl Upstream {
    /// Asks a server. A question that cannot be sent is as one that is lost.
    pub(crate) fn ask(&mut self, bound: &Arc<Bound>, asked: Asked, server: IpAddr) {
        self.last = self.last.wrapping_add(1);
        let (id, server) = (self.last, SocketAddr::new(server, PORT));
        let any = match server {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let mut sockets = bound.upstreams.iter();
        let socket =
            sockets.find(|one| one.local_addr().is_ok_and(|own| own.is_ipv4() == server.is_ipv4()));
        if let Some((socket, bytes)) = socket.zip(wire::question(id, &asked.2.question)) {
            drop(datagram::send(socket, &bytes, any, server));
        }
        let until = Instant::now() + PATIENCE;
        self.open.push(Open { id, bound: Arc::clone(bound), server, until, asked });
    }

    /// Returns when the next question is given up.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.open.iter().map(|one| one.until).min()
    }

    /// Takes the question that a message answers.
    pub(crate) fn take(
        &mut self,
        bound: &Arc<Bound>,
        from: SocketAddr,
        bytes: &[u8],
    ) -> Option<(Asked, Answer)> {
        let answer = |one: &Open| {
            let is_it = Arc::ptr_eq(&one.bound, bound)
                && (one.server.ip(), one.server.port()) == (from.ip(), from.port());
            is_it.then(|| wire::read_answer(bytes, one.id, &one.asked.2.question)).flatten()
        };
        let mut all = self.open.iter().enumerate();
        let (at, answer) = all.find_map(|(at, one)| Some((at, answer(one)?)))?;
        Some((self.open.remove(at).asked, answer))
    }

    /// Takes the questions whose time is over.
    pub(crate) fn late(&mut self) -> Vec<Asked> {
        let now = Instant::now();
        let all = std::mem::take(&mut self.open).into_iter();
        let (late, open): (Vec<Open>, Vec<Open>) = all.partition(|one| one.until <= now);
        self.open = open;
        late.into_iter().map(|one| one.asked).collect()
    }

    /// Drops the questions of sockets that are closed.
    pub(crate) fn retain(&mut self, is_there: impl Fn(&Arc<Bound>) -> bool) {
        self.open.retain(|one| is_there(&one.bound));
    }
}
