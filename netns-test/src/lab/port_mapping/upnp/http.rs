//! Requests and responses of HTTP/1.0 and HTTP/1.1 (RFC 9112), and the heads of SSDP messages.
//! Pure.

use crate::lab::port_mapping::upnp::SERVER;

/// Longest head and body of a request.
const LONGEST_HEAD: usize = 16 << 10;
const LONGEST_BODY: usize = 256 << 10;

/// First line and headers of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// Words of the first line.
    pub(super) first: Vec<String>,
    /// Headers; names in lower case.
    headers: Vec<(String, String)>,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) head: Head,
    pub(super) body: Vec<u8>,
    /// True if the connection stays open after the response.
    pub(super) keeps_open: bool,
}

/// State of a request by the bytes that have come so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The beginning of a request. The client may wait for "100 Continue".
    Part { expects_continue: bool },
    /// A request of this length.
    Whole(Request, usize),
    /// No request: status of the response, after which the connection is closed.
    Bad(u16),
}

impl Head {
    /// Parses a head up to its empty line. Returns none if it is not complete or no text.
    pub(super) fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let (mut lines, mut at): (Vec<String>, usize) = (Vec::new(), 0);
        loop {
            let length = bytes[at..].iter().position(|byte| *byte == b'\n')?;
            let line = String::from_utf8_lossy(&bytes[at..at + length]);
            let line = line.strip_suffix('\r').unwrap_or(&line);
            at += length + 1;
            match lines.last_mut() {
                // Empty lines before a request are no error (RFC 9112, section 2.2).
                None if line.is_empty() => {}
                _ if line.is_empty() => break,
                // A header that continues (RFC 9112, section 5.2).
                Some(last) if line.starts_with([' ', '\t']) => {
                    last.push(' ');
                    last.push_str(line.trim());
                }
                _ => lines.push(line.to_owned()),
            }
        }
        let mut lines = lines.into_iter();
        let first = lines.next()?.split_whitespace().map(str::to_owned).collect();
        let header = |line: String| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        };
        Some((Self { first, headers: lines.filter_map(header).collect() }, at))
    }

    /// Returns the value of a header, whose name is given in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    /// Returns the value of a header which may have a prefix `01-` (RFC 2774).
    pub(super) fn extended(&self, name: &str) -> Option<&str> {
        let is_it = |one: &str| {
            let rest = one.strip_suffix(name).and_then(|prefix| prefix.strip_suffix('-'));
            rest.is_some_and(|prefix| prefix.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let found = self.headers.iter().find(|(one, _)| is_it(one));
        self.header(name).or(found.map(|(_, value)| value.as_str()))
    }

    /// Returns whether a header is a list that has this word.
    fn has(&self, name: &str, word: &str) -> bool {
        let words = self.header(name).unwrap_or_default().split(',');
        words.map(str::trim).any(|one| one.eq_ignore_ascii_case(word))
    }
}

/// Parses the first request of a connection's bytes.
pub(super) fn parse(bytes: &[u8]) -> Progress {
    let Some((head, length)) = Head::parse(bytes) else {
        let is_long = bytes.len() > LONGEST_HEAD;
        return if is_long {
            Progress::Bad(431)
        } else {
            Progress::Part { expects_continue: false }
        };
    };
    let [method, target, rest @ ..] = head.first.as_slice() else { return Progress::Bad(400) };
    let version = match rest {
        [] => "HTTP/1.0",
        [version] if version.starts_with("HTTP/1.") => version,
        [version] if version.starts_with("HTTP/") => return Progress::Bad(505),
        _ => return Progress::Bad(400),
    };
    let keeps_open = match version {
        "HTTP/1.0" => head.has("connection", "keep-alive"),
        _ => !head.has("connection", "close"),
    };
    let rest = &bytes[length..];
    let found = if head.has("transfer-encoding", "chunked") {
        chunked(rest)
    } else {
        match head.header("content-length").map_or(Ok(0), str::parse::<usize>) {
            Ok(count) if count > LONGEST_BODY => Err(413),
            Ok(count) => Ok(rest.get(..count).map(|body| (body.to_vec(), count))),
            Err(_) => Err(400),
        }
    };
    match found {
        Err(status) => Progress::Bad(status),
        Ok(None) => {
            let expects = head.header("expect").unwrap_or_default();
            Progress::Part { expects_continue: expects.eq_ignore_ascii_case("100-continue") }
        }
        Ok(Some((body, count))) => {
            let (method, path) = (method.to_ascii_uppercase(), path_of(target));
            let request = Request { method, path, head, body, keeps_open };
            Progress::Whole(request, length + count)
        }
    }
}

/// Parses a body in chunks (RFC 9112, section 7.1). Returns it with the length of its coding, or
/// none if it is not complete; an error is a status.
fn chunked(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, u16> {
    let (mut body, mut at) = (Vec::new(), 0);
    let line = |at: usize| {
        let length = bytes[at..].iter().position(|byte| *byte == b'\n')?;
        let text = String::from_utf8_lossy(&bytes[at..at + length]);
        Some((text.trim().to_owned(), at + length + 1))
    };
    loop {
        let Some((text, next)) = line(at) else { return Ok(None) };
        let size = text.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| 400_u16)?;
        if size > LONGEST_BODY || body.len() + size > LONGEST_BODY {
            return Err(413);
        }
        at = next;
        if size == 0 {
            break;
        }
        let Some(data) = bytes.get(at..at + size) else { return Ok(None) };
        body.extend(data);
        // The end of the line behind the data.
        match line(at + size) {
            None => return Ok(None),
            Some((text, next)) if text.is_empty() => at = next,
            Some(_) => return Err(400),
        }
    }
    // Trailers, and the empty line.
    loop {
        match line(at) {
            None => return Ok(None),
            Some((text, next)) if text.is_empty() => return Ok(Some((body, next))),
            Some((_, next)) => at = next,
        }
    }
}

/// Returns the path of a request's target, which may be a whole URL.
fn path_of(target: &str) -> String {
    let path = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    path.split(['?', '#']).next().unwrap_or_default().to_owned()
}

/// Returns a response with a text of XML, or an empty one.
pub(super) fn response(status: u16, text: &str, request: Option<&Request>) -> Vec<u8> {
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        505 => "HTTP Version Not Supported",
        _ => "Internal Server Error",
    };
    let connection = match request {
        Some(request) if request.keeps_open => "keep-alive",
        _ => "close",
    };
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: text/xml; charset=\"utf-8\"\r\nContent-Length: \
         {}\r\nConnection: {connection}\r\nEXT:\r\nServer: {SERVER}\r\n\r\n",
        text.len()
    );
    let is_head = request.is_some_and(|request| request.method == "HEAD");
    [head.as_bytes(), if is_head { b"" } else { text.as_bytes() }].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> (Request, usize) {
        match parse(text.as_bytes()) {
            Progress::Whole(request, length) => (request, length),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_is_whole_when_all_of_it_is_there() {
        let text = "\r\nPOST /ctl HTTP/1.1\r\nHOST: x\r\ncontent-LENGTH:3\r\n\r\nabcGET";
        let end = text.len() - 3;
        for length in 0..end {
            let part = Progress::Part { expects_continue: false };
            assert_eq!(parse(&text.as_bytes()[..length]), part, "{length}");
        }
        let (request, length) = whole(text);
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/ctl"));
        assert_eq!((request.body.as_slice(), length), (&b"abc"[..], end));
        assert!(request.keeps_open);
        assert_eq!(request.head.header("host"), Some("x"));
    }

    #[test]
    fn bodies_in_chunks() {
        let head = "POST / HTTP/1.1\nTransfer-Encoding: Chunked\n\n";
        let text = format!("{head}4;x=y\r\nabcd\r\n2\nef\n0\r\nTrailer: 1\r\n\r\n");
        for length in head.len()..text.len() {
            let part = Progress::Part { expects_continue: false };
            assert_eq!(parse(&text.as_bytes()[..length]), part, "{length}");
        }
        let (request, length) = whole(&text);
        assert_eq!((request.body.as_slice(), length), (&b"abcdef"[..], text.len()));
        assert_eq!(parse(format!("{head}zz\r\n").as_bytes()), Progress::Bad(400));
        assert_eq!(parse(format!("{head}2\r\nabc\r\n").as_bytes()), Progress::Bad(400));
        assert_eq!(parse(format!("{head}ffffffff\r\n").as_bytes()), Progress::Bad(413));
    }

    #[test]
    fn connections_stay_open_as_the_version_says() {
        let keeps = |text: &str| whole(text).0.keeps_open;
        assert!(keeps("GET / HTTP/1.1\r\n\r\n"));
        assert!(!keeps("GET / HTTP/1.1\r\nConnection: Close\r\n\r\n"));
        assert!(!keeps("GET / HTTP/1.0\r\n\r\n"));
        assert!(keeps("GET / HTTP/1.0\r\nConnection: foo, Keep-Alive\r\n\r\n"));
        assert!(!keeps("GET /\r\n\r\n"));
    }

    #[test]
    fn a_client_that_waits_for_continue() {
        let text = b"POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n";
        assert_eq!(parse(text), Progress::Part { expects_continue: true });
    }

    #[test]
    fn odd_requests() {
        let (request, _) = whole("get http://192.168.1.2:5000/desc.xml?a=b HTTP/1.1\r\n\r\n");
        assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/desc.xml"));
        let (request, _) = whole("M-POST / HTTP/1.1\r\n01-SOAPACTION: \"a\r\n b\"\r\n\r\n");
        assert_eq!(request.head.extended("soapaction"), Some("\"a b\""));
        assert_eq!(parse(b"x\r\n\r\n"), Progress::Bad(400));
        assert_eq!(parse(b"GET / HTTP/2\r\n\r\n"), Progress::Bad(505));
        assert_eq!(parse(b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"), Progress::Bad(400));
        assert_eq!(parse(b"GET / HTTP/1.1\r\nContent-Length: 999999\r\n\r\n"), Progress::Bad(413));
        assert_eq!(parse(&[b'x'; 20 << 10]), Progress::Bad(431));
    }

    #[test]
    fn responses() {
        let (request, _) = whole("HEAD / HTTP/1.1\r\n\r\n");
        let text = String::from_utf8(response(200, "<a/>", Some(&request))).unwrap();
        assert!(text.contains("Content-Length: 4\r\n") && text.ends_with("\r\n\r\n"), "{text}");
        let text = String::from_utf8(response(404, "", None)).unwrap();
        assert!(text.starts_with("HTTP/1.1 404 Not Found\r\n"), "{text}");
        assert!(text.contains("Connection: close\r\n"), "{text}");
    }
}
