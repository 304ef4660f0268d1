//! Impairments of links: mistakes with their texts, defaults, named conditions, drawings.

use std::time::Duration;

use crate::lab::tests::errors::{only, pair};
use crate::lab::{
    Impairment, ImpairmentPlan, LossPlan, LossUnit, Plan, Probability, QueueLimit, Topology,
};

const MS: Duration = Duration::from_millis(1);

/// Returns the plan of both directions of a link with these impairments.
fn both(impairment: Impairment) -> [ImpairmentPlan; 2] {
    let (mut net, [a, b]) = pair();
    net.link(a, b).impair(impairment);
    net.plan().unwrap().links()[0].impairments.clone().unwrap()
}

fn one(impairment: Impairment) -> ImpairmentPlan {
    let [forth, back] = both(impairment);
    assert_eq!(forth, back);
    forth
}

/// Checks that a link with these impairments has one error, with this text.
#[track_caller]
fn refused(expected: &str, impairment: Impairment) {
    only(&format!("impairment of link a to b: {expected}"), |net, [a, b]| {
        net.link(a, b).impair(impairment);
    });
}

#[test]
fn each_mistake_has_its_advice() {
    let new = Impairment::new;
    refused("loss: `130%`: a probability is at most 100%; lower it", new().loss("130%"));
    refused(
        "loss: `5`: a number is a fraction, at most 1; write \"5%\" for percent",
        new().loss(5.0),
    );
    refused("corruption: `NaN`: it is no number; pass one from 0 to 1", new().corrupt(f64::NAN));
    refused("duplication: `-1`: a probability is not below 0; raise it", new().duplicate(-1.0));
    refused("rate: `fast`: it is not a rate; write one, as \"10mbit\"", new().rate("fast"));
    refused(
        "a rate of 0 lets nothing pass; use `loss(\"100%\")`, or `down` of the link",
        new().rate("0bit"),
    );
    refused(
        "a burst of 1513 bytes is less than a full frame of 1514, which would never pass; raise it",
        new().rate("1mbit").burst_bytes(1513),
    );
    refused(
        "a queue of 1513 bytes has no room for a full frame of 1514; raise it",
        new().rate("1mbit").queue_bytes(1513),
    );
    refused(
        "a queue of 0 packets lets nothing pass; raise it",
        new().rate("1mbit").queue_packets(0),
    );
    refused(
        "an overhead of -15 bytes is not in -14 to 65535; change it",
        new().rate("1mbit").overhead(-15),
    );
    refused(
        "`ecn_mark_above` 9000 bytes is never reached in a queue of 9000; lower it, or set a \
         longer queue",
        new().rate("1mbit").queue_bytes(9000).ecn_mark_above(9000),
    );
    refused("a jitter of 5ms without a delay means nothing; set `delay`", new().jitter(5 * MS));
    refused(
        "a jitter of 5ms is more than the delay of 4ms, which would be negative; lower it",
        new().delay(4 * MS).jitter(5 * MS),
    );
    refused("a delay of 3600.001s is over one hour; lower it", new().delay(3_600_001 * MS));
    refused(
        "reordering without a delay means nothing: no packet waits; set `delay`",
        new().reorder("1%"),
    );
    refused(
        "a `reorder_gap` of 0 means nothing; 1 makes each packet a candidate",
        new().delay(MS).reorder("1%").reorder_gap(0),
    );
    refused(
        "`reorder_gap` without `reorder` means nothing; set `reorder`, or remove it",
        new().delay(MS).reorder_gap(2),
    );
}

#[test]
fn each_mistake_of_a_loss_has_its_advice() {
    let new = Impairment::new;
    refused(
        "`share_bursts` without bursts means nothing; set `loss_in_bursts` or \
         `loss_gilbert_elliott`, or remove it",
        new().loss("1%").share_bursts(),
    );
    refused(
        "bursts of 0.5 packets: the mean is at least 1; raise it",
        new().loss_in_bursts("1%", 0.5),
    );
    refused(
        "bursts of NaN packets: the mean is at least 1; raise it",
        new().loss_in_bursts("1%", f64::NAN),
    );
    for (loss, length) in [("60%", "1"), ("100%", "10")] {
        refused(
            &format!(
                "a loss of {loss} in bursts of {length}: such bursts follow each other without a \
                 packet between; make them longer, or use `loss`"
            ),
            new().loss_in_bursts(loss, length.parse().unwrap()),
        );
    }
    let nothing = "the chain of the loss loses nothing; raise p and `bad`, or `good`";
    refused(nothing, new().loss_gilbert_elliott("0%", "10%", "100%", "0%"));
    refused(nothing, new().loss_gilbert_elliott("1%", "10%", 0.0, 0.0));
    refused(
        "r of the loss: `1`: it has no `%`; write a percentage, as \"1%\"",
        new().loss_gilbert_elliott("1%", "1", "0%", "0%"),
    );
    let nothing = "the pattern of the loss loses nothing; write an `x` in it";
    refused(nothing, new().loss_pattern("..."));
    refused(nothing, new().loss_pattern(""));
    refused(
        "pattern of the loss: `.-`: a pattern has `.` for a packet that passes and `x` for a lost \
         one",
        new().loss_pattern(".-"),
    );
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let (mut net, [a, b]) = pair();
    let wrong =
        Impairment::new().loss("200%").jitter(MS).queue_packets(1).overhead(1).burst_bytes(1);
    let wrong = wrong.ecn_mark_above(1);
    net.link(a, b).name("wan").impair(wrong).impair_from(b, Impairment::new().rate(0));
    let link = net.link(a, b).id();
    let c = net.host("c");
    net.link(a, c).impair_from(b, Impairment::new());
    let mut other = Topology::new();
    let (x, y) = (other.host("x"), other.host("y"));
    let foreign = other.link(x, y).id();
    net.impair(foreign, Impairment::new());
    net.impair_from(link, x, Impairment::new());
    let place = "\n  impairment of link `wan` (a to b), from";
    let without = "without a rate means nothing; set `rate`, or remove it";
    let expected = format!(
        "10 errors in the topology\
         \n  impair(): a link of another topology; use the ids that this one returned\
         {place} a: loss: `200%`: a probability is at most 100%; lower it\
         {place} a: burst_bytes {without}\
         {place} a: overhead {without}\
         {place} a: a limit of the queue {without}\
         {place} a: ecn_mark_above {without}\
         {place} a: a jitter of 1ms without a delay means nothing; set `delay`\
         {place} b: a rate of 0 lets nothing pass; use `loss(\"100%\")`, or `down` of the link\
         \n  impair_from of link a to b: a node of another topology; use the ids that this one \
         returned\
         \n  impair_from of link a to c: `b` is at neither end; name the node at one",
    );
    assert_eq!(net.plan().unwrap_err().to_string(), expected);
}

#[test]
fn a_link_without_impairments_is_direct() {
    let impairments = |declare: fn(&mut Topology)| {
        let (mut net, [a, b]) = pair();
        net.link(a, b);
        declare(&mut net);
        net.plan().unwrap().links().last().unwrap().impairments.clone()
    };
    let perfect = Some([ImpairmentPlan::default(), ImpairmentPlan::default()]);
    assert_eq!(impairments(|_| ()), None);
    assert_eq!(impairments(Topology::impairable_links), perfect);
    type Declare = fn(&mut Topology);
    let declared: [Declare; 3] = [
        |net| {
            let [a, b] = ["c", "d"].map(|name| net.host(name));
            net.link(a, b).impairable();
        },
        |net| {
            let [a, b] = ["c", "d"].map(|name| net.host(name));
            net.link(a, b).impair(Impairment::new());
        },
        |net| {
            let [a, b] = ["c", "d"].map(|name| net.host(name));
            net.link(a, b).impair(Impairment::new().loss("0%").corrupt(0.0).delay(Duration::ZERO));
        },
    ];
    for declare in declared {
        assert_eq!(impairments(declare), perfect);
    }
}

#[test]
fn directions_are_those_of_the_ends() {
    let up = Impairment::new().delay(MS);
    let dsl = || up.clone().back(Impairment::new().delay(2 * MS));
    let delays = |declare: &dyn Fn(&mut Topology)| {
        let mut net = Topology::new();
        declare(&mut net);
        let plan = net.plan().unwrap();
        plan.links()[0].impairments.clone().unwrap().map(|way| way.delay.as_millis())
    };
    assert_eq!(both(dsl()).map(|way| way.delay.as_millis()), [1, 2]);
    assert_eq!(both(dsl().reversed()).map(|way| way.delay.as_millis()), [2, 1]);
    assert_eq!(both(dsl().reversed().reversed()), both(dsl()));
    assert_eq!(both(dsl().rtt(6 * MS)).map(|way| way.delay.as_millis()), [3, 3]);
    let from = |first: bool, impairment: Impairment| {
        delays(&|net| {
            let [a, b] = ["a", "b"].map(|name| net.host(name));
            net.link(a, b).impair_from(if first { a } else { b }, impairment.clone());
        })
    };
    assert_eq!([from(true, up.clone()), from(false, up.clone())], [[1, 0], [0, 1]]);
    assert_eq!([from(true, dsl()), from(false, dsl())], [[1, 2], [2, 1]]);
    // A later call of one direction leaves the other.
    let later = delays(&|net| {
        let [a, b] = ["a", "b"].map(|name| net.host(name));
        let link = net.link(a, b).impair(dsl()).id();
        net.impair_from(link, b, Impairment::new().delay(7 * MS));
    });
    assert_eq!(later, [1, 7]);
}

#[test]
fn what_is_declared_is_planned() {
    let all = Impairment::new()
        .loss_gilbert_elliott("1%", "25%", "100%", "0.1%")
        .share_bursts()
        .loss_unit(LossUnit::Segment)
        .include_neighbours()
        .corrupt("0.01%")
        .duplicate("2%")
        .rate("10mbit")
        .burst_bytes(5000)
        .overhead(24)
        .queue_packets(100)
        .ecn_mark_above(4000)
        .drop_ect()
        .delay(20 * MS)
        .jitter(2 * MS)
        .reorder("3%")
        .reorder_gap(5);
    let text = "loss gemodel 1% 25% 100% 0.1% shared bursts by segment, with neighbours, corrupt \
                0.01%, duplicate 2%, drop ect, rate 10mbit, burst 5000 bytes, queue 100 packets, \
                overhead 24 bytes, mark above 4000 bytes, delay 20ms, jitter 2ms, reorder 3% gap 5";
    assert_eq!(one(all.clone()).to_string(), text);
    assert_eq!(all.to_string(), text);
    // The last loss applies.
    let pattern = one(Impairment::new().loss("1%").loss_pattern("....x"));
    assert_eq!(pattern.to_string(), "loss pattern ....x");
    assert_eq!(Impairment::new().to_string(), "unimpaired");
    assert_eq!(ImpairmentPlan::default().to_string(), "unimpaired");
}

#[test]
fn bursts_have_their_average_and_their_length() {
    let fraction = |probability: Probability| probability.fraction();
    for (average, length) in [(0.03, 4.0), (0.5, 1.0), (0.005, 20.0), (0.9, 10.0)] {
        let plan = one(Impairment::new().loss_in_bursts(average, length));
        let LossPlan::GilbertElliott { p, r, bad, good, is_shared } = plan.loss else {
            panic!("{plan}")
        };
        assert_eq!((bad, good, is_shared), (Probability::ALWAYS, Probability::NEVER, false));
        let (p, r) = (fraction(p), fraction(r));
        assert!((p / (p + r) - average).abs() < 1e-12, "{average} {length}");
        assert!((1.0 / r - length).abs() < 1e-9, "{average} {length}");
    }
    assert_eq!(one(Impairment::new().loss_in_bursts("0%", 3.0)), ImpairmentPlan::default());
}

#[test]
fn a_queue_has_room_for_the_product_of_rate_and_delay() {
    let queue = |impairment: Impairment| one(impairment).rate.unwrap().queue;
    let rate = |rate: &str| Impairment::new().rate(rate);
    // 50 ms, twice the delay, ten full frames, the most.
    assert_eq!(queue(rate("10mbit")), QueueLimit::Bytes(62_500));
    assert_eq!(queue(rate("10mbit").delay(100 * MS)), QueueLimit::Bytes(250_000));
    assert_eq!(queue(rate("100kbit")), QueueLimit::Bytes(15_140));
    assert_eq!(queue(rate("100kbit").overhead(24)), QueueLimit::Bytes(15_380));
    assert_eq!(queue(rate("100gbit").delay(300 * MS)), QueueLimit::Bytes(16 << 20));
    assert_eq!(queue(Impairment::new().rate(u64::MAX)), QueueLimit::Bytes(16 << 20));
    let (mut net, [a, b]) = pair();
    net.link(a, b).mtu(65535).impair(rate("1mbit"));
    let plan = net.plan().unwrap();
    let [forth, _] = plan.links()[0].impairments.as_ref().unwrap();
    let rate = forth.rate.as_ref().unwrap();
    assert_eq!((rate.burst, rate.queue), (65_549, QueueLimit::Bytes(655_490)));
}

#[test]
fn named_conditions_can_be_planned() {
    let all = [
        Impairment::lan(),
        Impairment::wifi(),
        Impairment::wifi_bad(),
        Impairment::edge(),
        Impairment::mobile_3g(),
        Impairment::lte(),
        Impairment::mobile_5g(),
        Impairment::dial_up(),
        Impairment::dsl(),
        Impairment::cable(),
        Impairment::fibre(),
        Impairment::leo_satellite(),
        Impairment::geo_satellite(),
        Impairment::lossy_datacentre(),
    ];
    for condition in all {
        assert!(both(condition.clone()).iter().all(|way| !way.is_perfect()), "{condition}");
    }
}

/// Returns a topology with a link of each kind.
fn drawn() -> Topology {
    let mut net = Topology::new();
    let (home, isp, server) = (net.router("home"), net.router("isp"), net.host("server"));
    net.link(home, isp).name("line").ipv4_only().impair(Impairment::dsl());
    net.link(isp, server).ipv4_only().impair(Impairment::new().delay(20 * MS).loss("1%"));
    let other = net.host("other");
    net.link(isp, other).ipv4_only().impair_from(isp, Impairment::new().loss("1%"));
    net.link(server, other).ipv4_only().impairable().offloads(false);
    net
}

#[test]
fn drawings_show_impairments() {
    let net = drawn();
    let text = net.to_string();
    for line in [
        "link    home -- isp      line, from home: rate 384kbit, delay 25ms; from isp: rate \
         1500kbit, delay 25ms",
        "link    isp -- server    loss 1%, delay 20ms",
        "link    isp -- other     from isp: loss 1%",
        "link    server -- other  impairable; no offloads",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    let plan = net.plan().unwrap();
    let text = plan.to_string();
    let links = "\
links
  line             from home: rate 384kbit, burst 1514 bytes, queue 15140 bytes, delay 25ms
  line             from isp: rate 1500kbit, burst 1514 bytes, queue 15140 bytes, delay 25ms
  isp to server    loss 1%, delay 20ms
  isp to other     from isp: loss 1%
  server to other  impairable
  server to other  no offloads
routes
";
    assert!(text.contains(links), "{text}");
    let label = "line\\nfrom home: rate 384kbit, delay 25ms\\nfrom isp: rate 1500kbit, delay 25ms";
    assert!(
        net.to_dot().contains(&format!("  n0 -- n1 [label=\"{label}\"];\n")),
        "{}",
        net.to_dot()
    );
    let label = "line<br/>from home: rate 384kbit, delay 25ms<br/>from isp: rate 1500kbit";
    assert!(net.to_mermaid().contains(label), "{}", net.to_mermaid());
    let label = "[label=\"loss 1%, delay 20ms\\nisp eth1 10.0.1.1/24\\nserver eth0 10.0.1.2/24\"];";
    assert!(plan.to_dot().contains(label), "{}", plan.to_dot());
    let label = "|\"loss 1%, delay 20ms<br/>isp eth1 10.0.1.1/24<br/>server eth0 10.0.1.2/24\"|";
    assert!(plan.to_mermaid().contains(label), "{}", plan.to_mermaid());
}

/// Wrong values are shown in a drawing of the topology, which exists before the plan.
#[test]
fn a_drawing_shows_wrong_values() {
    let (mut net, [a, b]) = pair();
    net.link(a, b).impair(Impairment::new().loss("2").rate("x").loss_in_bursts(7.5, 0.0));
    let text = net.to_string();
    assert!(text.contains("loss `7.5`: a number is a fraction"), "{text}");
    assert!(text.contains("rate `x`: it is not a rate"), "{text}");
}

#[test]
fn impairments_change_nothing_else_of_a_plan() {
    let without = |plan: Plan| -> Plan {
        let mut plan = plan;
        plan.links.iter_mut().for_each(|link| link.impairments = None);
        plan
    };
    let (mut net, [a, b]) = pair();
    net.link(a, b);
    let (mut other, [a, b]) = pair();
    other.link(a, b).impair(Impairment::wifi_bad());
    assert_eq!(net.plan().unwrap(), without(other.plan().unwrap()));
}
