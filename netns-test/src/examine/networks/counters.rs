//! Counters of `/proc/net/{snmp,netstat,snmp6}`. Pure.

use crate::evidence::facts::network::Count;

/// Values in these files that count nothing.
const SETTINGS: [&str; 6] = [
    "Ip.Forwarding",
    "Ip.DefaultTTL",
    "Tcp.RtoAlgorithm",
    "Tcp.RtoMin",
    "Tcp.RtoMax",
    "Tcp.MaxConn",
];

/// Parses two lines for each group, as `snmp` and `netstat` have them: names, then values. Counters
/// that are 0 are left out.
pub(super) fn of_groups(text: &str) -> Vec<Count> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let (mut names, mut values) = (names.split(' '), values.split(' '));
        let (Some(group), Some(same)) = (names.next(), values.next()) else { continue };
        if group != same {
            continue;
        }
        let group = group.trim_end_matches(':');
        let counts = names.zip(values).filter(|(_, value)| *value != "0");
        let counts = counts.filter_map(|(name, value)| {
            Some(Count { name: format!("{group}.{name}"), value: value.parse().ok()? })
        });
        found.extend(counts.filter(|count| !SETTINGS.contains(&count.name.as_str())));
    }
    found
}

/// Parses a line for each counter, as `snmp6` has them.
pub(super) fn of_lines(text: &str) -> Vec<Count> {
    let counts = text.lines().filter_map(|line| {
        let (name, value) = line.split_once('\t')?;
        let value = if value == "0" { 0 } else { value.parse().ok()? };
        (value > 0).then(|| Count { name: name.trim_end().to_owned(), value })
    });
    counts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_have_the_names_of_their_groups() {
        let text = "Ip: Forwarding OutNoRoutes InReceives\nIp: 1 4 0\n\
                    Tcp: MaxConn RetransSegs\nTcp: -1 7\n\
                    Udp: InErrors\nUdpLite: 3\nTcpExt:\n";
        let found = of_groups(text);
        let found: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.value)).collect();
        assert_eq!(found, [("Ip.OutNoRoutes", 4), ("Tcp.RetransSegs", 7)]);
        let text = "Ip6OutNoRoutes                  \t3\nIp6InReceives  \t0\nbroken\n";
        let found = of_lines(text);
        assert_eq!((found.len(), found[0].name.as_str(), found[0].value), (1, "Ip6OutNoRoutes", 3));
    }
}
