//! A client that connects again when its connection has died. The cable is pulled on the way, beyond
//! the first router: neither end is told.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{TcpListener, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use netns_test::lab::WAIT_LIMIT;
use netns_test::{Topology, netns_test};

/// How long the client waits for an answer.
const PATIENCE: Duration = Duration::from_millis(300);

/// Client under test: a question and an answer are a line each.
#[derive(Default)]
struct Client {
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    fn ask(&mut self, question: &str) -> io::Result<String> {
        let answer = self.try_to_ask(question);
        if answer.is_err() {
            self.connection = None;
        }
        answer
    }

    fn try_to_ask(&mut self, question: &str) -> io::Result<String> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let address = "server:7".to_socket_addrs()?.next().expect("an address");
                let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                none.insert(BufReader::new(stream))
            }
        };
        connection.get_mut().write_all(format!("{question}\n").as_bytes())?;
        let mut answer = String::new();
        connection.read_line(&mut answer)?;
        Ok(answer.trim_end().to_owned())
    }
}

#[netns_test(timeout = "20s")]
fn it_connects_again() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (client, home, server) = (net.host("client"), net.router("home"), net.host("server"));
    net.link(client, home);
    let wan = net.link(home, server).id();
    let lab = net.build()?;

    let listener = lab[server].run(|| TcpListener::bind("[::]:7")).expect("a free port");
    lab[server].spawn_thread(move || {
        for connection in listener.incoming().flatten() {
            std::thread::spawn(move || io::copy(&mut &connection, &mut &connection));
        }
    });

    let mut it = Client::default();
    let mut ask = |question: &str| lab[client].run(|| it.ask(question));
    assert_eq!(ask("before").unwrap(), "before");
    lab[wan].down()?;
    // The connection is established, and no packet passes.
    lab[client].wait(WAIT_LIMIT).established(7)?;
    assert_eq!(ask("meanwhile").unwrap_err().kind(), ErrorKind::WouldBlock);
    // There is no way for a new one either: the router may say so, or be silent.
    ask("still").unwrap_err();
    lab[wan].up()?;
    lab[client].wait(WAIT_LIMIT).reachable("server")?;
    assert_eq!(ask("after").unwrap(), "after");
    Ok(())
}
