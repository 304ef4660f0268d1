//! Sends for which a network had no route: the test wanted to leave its lab. Pure.

/// Names of the counters, in the files `snmp` and `snmp6` of `/proc/net`.
pub(crate) const COUNTERS: [&str; 2] = ["Ip.OutNoRoutes", "Ip6OutNoRoutes"];

/// Returns the number of such sends by the texts of `snmp` and `snmp6`.
pub(crate) fn count(snmp: &str, snmp6: &str) -> u64 {
    let mut ip = snmp.lines().filter_map(|line| line.strip_prefix("Ip: "));
    let (names, values) = (ip.next().unwrap_or_default(), ip.next().unwrap_or_default());
    let at = names.split(' ').position(|name| name == "OutNoRoutes");
    let v4 = at.and_then(|at| values.split(' ').nth(at)?.parse().ok());
    let [_, name] = COUNTERS;
    let v6 = snmp6.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    v4.unwrap_or(0_u64).saturating_add(v6.unwrap_or(0))
}

/// Returns `2 sends had no route`.
pub(crate) fn sentence(count: u64) -> String {
    let sends = if count == 1 { "send" } else { "sends" };
    format!("{count} {sends} had no route")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_are_counted() {
        let snmp = "Ip: Forwarding OutNoRoutes OutDiscards\nIp: 1 4 9\nIcmp: InMsgs\nIcmp: 7\n";
        let snmp6 = "Ip6OutDiscards  \t8\nIp6OutNoRoutes                  \t3\n";
        assert_eq!(count(snmp, snmp6), 7);
        assert_eq!(count(snmp, ""), 4);
        assert_eq!(count("Ip: Forwarding\n", "broken"), 0);
        assert_eq!([sentence(1), sentence(2)], ["1 send had no route", "2 sends had no route"]);
    }
}
