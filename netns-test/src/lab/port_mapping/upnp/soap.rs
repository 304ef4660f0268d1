//! Calls of actions and their results (UPnP Device Architecture 1.0, section 3). Pure.

use crate::lab::port_mapping::upnp::xml::{Element, escaped};

/// Call of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) action: String,
    arguments: Vec<(String, String)>,
}

/// Result of a call: the arguments out, or an error code.
pub(super) type Outcome = Result<Vec<(&'static str, String)>, u16>;

/// Codes of errors (section 3.2.2, and WANIPConnection:1, section 2.4).
pub(super) const INVALID_ACTION: u16 = 401;
pub(super) const INVALID_ARGS: u16 = 402;
pub(super) const ACTION_FAILED: u16 = 501;
pub(super) const NOT_AUTHORIZED: u16 = 606;
pub(super) const INDEX_INVALID: u16 = 713;
pub(super) const NO_SUCH_ENTRY: u16 = 714;
pub(super) const NO_WILD_PORT: u16 = 716;
pub(super) const CONFLICT: u16 = 718;
pub(super) const ONLY_PERMANENT: u16 = 725;
pub(super) const ONLY_ANY_HOST: u16 = 726;

impl Call {
    /// Parses the body of a request. `header` is the value of SOAPACTION, which some clients leave
    /// out.
    pub(super) fn parse(body: &[u8], header: Option<&str>) -> Option<Self> {
        let text = String::from_utf8_lossy(body);
        let envelope = Element::parse(text.trim_start().trim_matches('\0'))?;
        let call = envelope.child("Body")?.children.first()?.clone();
        let named = header.and_then(|header| header.trim_matches('"').rsplit_once('#'));
        // The two have to agree.
        if named.is_some_and(|(_, action)| action.trim() != call.name) {
            return None;
        }
        let argument = |one: Element| (one.name, one.text.trim().to_owned());
        let arguments = call.children.into_iter().map(argument).collect();
        Some(Self { action: call.name, arguments })
    }

    /// Returns an argument.
    pub(super) fn argument(&self, name: &str) -> Result<&str, u16> {
        let mut all = self.arguments.iter();
        all.find(|(one, _)| one == name).map(|(_, value)| value.as_str()).ok_or(INVALID_ARGS)
    }

    /// Returns an argument that is a number.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<T, u16> {
        self.argument(name)?.parse().map_err(|_| INVALID_ARGS)
    }
}

/// Returns the status and the text of the response to a call.
pub(super) fn response(service: &str, action: &str, outcome: &Outcome) -> (u16, String) {
    let (status, inside) = match outcome {
        Ok(arguments) => {
            let argument =
                |(name, value): &(&str, String)| format!("<{name}>{}</{name}>", escaped(value));
            let arguments: String = arguments.iter().map(argument).collect();
            let name = format!("{action}Response");
            (200, format!("<u:{name} xmlns:u=\"{service}\">{arguments}</u:{name}>"))
        }
        Err(code) => {
            let text = description(*code);
            let error = format!(
                "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring>\
                 <detail><UPnPError xmlns=\"urn:schemas-upnp-org:control-1-0\">\
                 <errorCode>{code}</errorCode><errorDescription>{text}</errorDescription>\
                 </UPnPError></detail></s:Fault>"
            );
            (500, error)
        }
    };
    let text = format!(
        "<?xml version=\"1.0\"?>\n<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body>{inside}</s:Body>\
         </s:Envelope>\n"
    );
    (status, text)
}

fn description(code: u16) -> &'static str {
    match code {
        INVALID_ACTION => "Invalid Action",
        INVALID_ARGS => "Invalid Args",
        NOT_AUTHORIZED => "Action not authorized",
        INDEX_INVALID => "SpecifiedArrayIndexInvalid",
        NO_SUCH_ENTRY => "NoSuchEntryInArray",
        NO_WILD_PORT => "WildCardNotPermittedInExtPort",
        CONFLICT => "ConflictInMappingEntry",
        ONLY_PERMANENT => "OnlyPermanentLeasesSupported",
        ONLY_ANY_HOST => "RemoteHostOnlySupportsWildcard",
        _ => "Action Failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "<?xml version=\"1.0\"?><e:Envelope xmlns:e=\"x\"><e:Body>\
                        <m:DeletePortMapping xmlns:m=\"y\"><NewRemoteHost/>\
                        <NewExternalPort> 80 </NewExternalPort></m:DeletePortMapping></e:Body>\
                        </e:Envelope>";

    #[test]
    fn calls() {
        let call = Call::parse(BODY.as_bytes(), None).unwrap();
        assert_eq!(call.action, "DeletePortMapping");
        assert_eq!(call.argument("NewRemoteHost"), Ok(""));
        assert_eq!(call.number("NewExternalPort"), Ok(80_u16));
        assert_eq!(call.number::<u16>("NewRemoteHost"), Err(INVALID_ARGS));
        assert_eq!(call.argument("NewProtocol"), Err(INVALID_ARGS));
        let with = |header| Call::parse(BODY.as_bytes(), Some(header)).is_some();
        assert!(with("\"urn:x:1#DeletePortMapping\"") && with("urn:x:1#DeletePortMapping"));
        assert!(!with("\"urn:x:1#AddPortMapping\""));
        assert_eq!(Call::parse(b"<a/>", None), None);
    }

    #[test]
    fn results() {
        let (status, text) = response("urn:x", "Get", &Ok(vec![("A", "<".to_owned())]));
        assert_eq!(status, 200);
        let part = "<s:Body><u:GetResponse xmlns:u=\"urn:x\"><A>&lt;</A></u:GetResponse></s:Body>";
        assert!(text.contains(part), "{text}");
        let (status, text) = response("urn:x", "Get", &Err(CONFLICT));
        assert_eq!(status, 500);
        let part = "<errorCode>718</errorCode><errorDescription>ConflictInMappingEntry";
        assert!(text.contains(part), "{text}");
    }
}
