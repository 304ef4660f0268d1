//! A report without what differs from run to run, between users and between machines. Pure.

/// Columns of a line that is cut off, of which the end may differ.
const CUT: usize = 80;

/// Words after and before which a number differs.
const AFTER: [&str; 7] = ["process", "(process", "(pid", "pid", "(tid", "fd", "dropped"];
const BEFORE: [&str; 8] = [
    "dropped",
    "lost",
    "held",
    "datagrams",
    "packets",
    "retransmission",
    "retransmissions",
    "file,",
];

/// Ports that the kernel chooses.
const EPHEMERAL: std::ops::RangeInclusive<u32> = 32_768..=60_999;

/// Sections whose rows have no order of their own.
const UNORDERED: [&str; 3] = ["Sockets", "Who waits for what", "Routes by the tables"];

/// Proof of a cause that is not certain.
const UNPROVEN: &str = "  the sockets are those of the moment of the failure";

const COUNTERS: &str = "Filters and counters that have moved";

/// Returns the report in the output of a failed test; empty if there is none.
pub(crate) fn normal(output: &str) -> String {
    let is_head = |line: &&str| {
        line.starts_with("netns-test: ")
            && (line.contains(" FAILED after ") || line.contains(" TIMED OUT after "))
    };
    let lines = output.lines().skip_while(|line| !is_head(line));
    // How to run it again depends on the run.
    let lines: Vec<&str> = lines.take_while(|line| !line.starts_with("Again ")).collect();
    let text = sections(&lines).iter().map(|lines| section(lines)).collect::<String>();
    // The first line is cut off if it names the attempt, and then the node.
    let (head, rest) = text.split_once('\n').unwrap_or_default();
    let head = head.split_once(" TIME").map_or(head, |(head, _)| head);
    format!("{head} TIME\n{}\n", rest.trim_end())
}

/// Parts the lines at titles: lines that are not indented.
fn sections<'a>(lines: &[&'a str]) -> Vec<Vec<&'a str>> {
    let mut found: Vec<Vec<&str>> = Vec::new();
    for line in lines {
        let is_title = line.starts_with(char::is_alphabetic);
        match found.last_mut() {
            Some(last) if !is_title => last.push(line),
            _ => found.push(vec![line]),
        }
    }
    found
}

fn section(lines: &[&str]) -> String {
    let title = lines[0];
    let mut rows = if title.starts_with("Cause (") { unwrapped(lines) } else { owned(lines) };
    for row in &mut rows {
        *row = excerpt(row).unwrap_or_else(|| line(row));
    }
    // The library's own threads run or wait.
    rows.retain(|row| !row.contains("thread lab "));
    // The kernel sends packets of its own, as of IPv6, which are lost, too.
    rows.retain(|row| !row.contains(": received ") && !row.contains(": of "));
    if UNORDERED.contains(&title) {
        let blank = rows.iter().position(String::is_empty).unwrap_or(rows.len());
        rows[1..blank].sort();
    }
    if title == COUNTERS {
        // Kernels count differently, and what they send by themselves.
        let is_filter =
            |row: &String| row == title || row.is_empty() || row.contains(": drop N packets");
        rows.retain(|row| is_filter(row) || row.contains(": reject N packets"));
        if rows.get(1).is_none_or(String::is_empty) {
            rows.remove(0);
        }
    }
    rows.into_iter().map(|row| row + "\n").collect()
}

fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// Joins the lines of a cause that the width of the report has parted: numbers may have other
/// lengths in another run.
fn unwrapped(lines: &[&str]) -> Vec<String> {
    /// Columns of a cause.
    const COLUMNS: usize = 98;
    let mut found: Vec<String> = Vec::new();
    let mut is_proof = false;
    let mut width = 0;
    for line in lines {
        let text = line.trim_start();
        let word = text.split(' ').next().unwrap_or_default();
        let indent = line.len() - text.len();
        let is_remedy = word == "Try:" || word == "or:";
        let was_full = is_proof && width + 1 + word.chars().count() > COLUMNS;
        let is_part = indent == 7 || indent == 2 && was_full && !is_remedy;
        match found.last_mut() {
            Some(last) if is_part => *last += &format!(" {text}"),
            _ => {
                is_proof = indent == 2 && !is_remedy;
                found.push((*line).to_owned());
            }
        }
        width = line.chars().count();
    }
    found
}

fn line(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let before = first(words[..at].iter().rev());
        let after = first(words[at + 1..].iter());
        let is_time = before.is_empty() || matches!(after.get(..1), Some("s"));
        found.push(match word.parse::<f64>() {
            Ok(_) if is_time && word.contains('.') => "TIME".to_owned(),
            Ok(_) if BEFORE.contains(&after) => "N".to_owned(),
            _ if AFTER.contains(&before) || word.starts_with('+') => counted(word),
            _ => place(word),
        });
    }
    let mut text = found.join(" ").trim_end().to_owned();
    // A program is stopped wherever it is, and descriptors of an epoll have no order.
    if let Some((start, _)) = text.split_once(" is stopped, in ") {
        text = format!("{start} is stopped");
    } else if let Some((start, files)) = text.split_once("epoll_wait, ") {
        let mut files: Vec<&str> = files.split("; ").collect();
        files.sort_unstable();
        text = format!("{start}epoll_wait, {}", files.join("; "));
    }
    // The kernel sends packets of its own, as of IPv6.
    if text.contains("packets in that direction: ") {
        text = text.split(' ').map(counted).collect::<Vec<_>>().join(" ");
    }
    match text.strip_suffix("...") {
        Some(_) => text.chars().take(CUT).collect::<String>() + "...",
        None => text,
    }
}

/// Returns the first word that is not empty.
fn first<'a>(mut words: impl Iterator<Item = &'a &'a str>) -> &'a str {
    words.find(|word| !word.is_empty()).copied().unwrap_or_default()
}

/// Returns a word with `N` for the number that it begins with.
fn counted(word: &str) -> String {
    let rest = word.trim_start_matches(|letter: char| letter.is_ascii_digit());
    if rest.len() < word.len() { format!("N{rest}") } else { word.to_owned() }
}

/// Returns a word without the line of a source file, without a port that the kernel has chosen, and
/// without the place of a scratch directory.
fn place(word: &str) -> String {
    if let Some((_, scratch)) = word.split_once("/netns-test-") {
        return format!("TMP/netns-test-{}", counted(scratch));
    }
    if let Some((file, rest)) = word.split_once(".rs:") {
        let rest = rest.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == ':');
        return format!("{file}.rs:LINE{rest}");
    }
    let Some((address, rest)) = word.rsplit_once(':') else { return word.to_owned() };
    let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    match rest[..end].parse() {
        Ok(port) if EPHEMERAL.contains(&port) => format!("{address}:PORT{}", &rest[end..]),
        _ => word.to_owned(),
    }
}

/// Returns a row of the source without its number.
fn excerpt(row: &str) -> Option<String> {
    let (number, source) = row.split_once(" |")?;
    let digits = number.trim_start_matches(['>', ' ']);
    let is_row = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_row.then(|| format!("{}     |{source}", &number[..1]))
}

/// Returns the report of a user who cannot read the source. A cause that is proven by it is not
/// certain then, and says why.
pub(crate) fn without_source(report: &str, is_proven: bool) -> String {
    let is_source = |line: &&str| line.starts_with(">     |") || line.starts_with("      |");
    let is_reason = |line: &&str| is_proven && line.starts_with(UNPROVEN);
    let lines = report.lines().filter(|line| !is_source(line) && !is_reason(line));
    lines.map(|line| line.to_owned() + "\n").collect()
}
