//! A laptop in a hotel: until its guest has logged in at the portal, nothing of it gets out. The
//! client under test notices that, logs in, and gets its page.

use std::error::Error;
use std::sync::mpsc::{self, Sender};

use netns_test::lab::{Firewall, FirewallAction, Nat, Traffic};
use netns_test::{Node, Topology, netns_test};
use tiny_http::{Response, Server};
use ureq::Agent;

/// Gets a page; where the network does not allow it, logs in first.
fn get_or_log_in(url: &str) -> Result<String, ureq::Error> {
    match get(url) {
        Err(ureq::Error::Io(_)) => {
            get("http://portal/login")?;
            get(url)
        }
        other => other,
    }
}

fn get(url: &str) -> Result<String, ureq::Error> {
    // A client that ignores `HTTP_PROXY`: no proxy can be reached from here.
    let client: Agent = Agent::config_builder().proxy(None).build().into();
    client.get(url).call()?.body_mut().read_to_string()
}

/// Answers each request with `text`, after the receiver of `asked` has agreed.
fn serve(node: &Node, text: &'static str, asked: Option<Sender<Sender<()>>>) {
    let server = node.run(|| Server::http("0.0.0.0:80")).expect("the port is free");
    node.spawn_thread(move || {
        for request in server.incoming_requests() {
            if let Some(asked) = &asked {
                let (agree, agreed) = mpsc::channel();
                asked.send(agree).expect("the hotel listens");
                agreed.recv().expect("the hotel agrees");
            }
            request.respond(Response::from_string(text)).expect("the client waits");
        }
    });
}

#[netns_test(timeout = "60s")]
fn a_guest_logs_in() -> Result<(), Box<dyn Error>> {
    let mut net = Topology::new();
    let (hotel, lan) = (net.router("hotel"), net.switch("lan"));
    let [laptop, phone, portal, site] =
        ["laptop", "phone", "portal", "site"].map(|name| net.host(name));
    for node in [hotel, laptop, phone, portal] {
        net.link(node, lan);
    }
    let uplink = net.link(hotel, site).id();
    net.nat(hotel, uplink, Nat::home());
    let closed = Firewall::new().default_out(FirewallAction::Reject).deny_in();
    net.firewall(hotel, closed.clone());
    let lab = net.build()?;

    let (logins, new) = mpsc::channel();
    serve(&lab[site], "welcome", None);
    serve(&lab[portal], "you are in", Some(logins));
    assert!(lab[laptop].run(|| get("http://site/")).is_err());

    let page = std::thread::scope(|scope| {
        let page = scope.spawn(|| lab[laptop].run(|| get_or_log_in("http://site/")));
        // The hotel opens its firewall for the guest who has asked.
        let agree = new.recv().expect("the client logs in");
        let opened = lab[hotel].set_firewall(closed.allow_out(Traffic::any().from(laptop)));
        opened.map(|()| agree.send(()).expect("the portal waits"))?;
        Ok::<_, netns_test::Error>(page.join().expect("it does not panic"))
    })?;
    assert_eq!(page?, "welcome");
    // The others are not let out.
    assert!(lab[phone].run(|| get("http://site/")).is_err());
    for rule in lab[hotel].firewall_rules()? {
        println!("{rule}");
    }
    Ok(())
}
