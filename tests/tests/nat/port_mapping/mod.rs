//! Ports that hosts lease by PCP, NAT-PMP and UPnP, asked for by clients that are not ours and by
//! bytes of the RFCs.

mod datagrams;
mod faults;
mod lan;
mod life;
mod upnp;
