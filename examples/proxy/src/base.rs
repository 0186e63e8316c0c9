//! Checks of the upstream's address that only a proxy needs.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use tower_api_key_name::directory::BaseUrl;

/// True if requests, with their keys, leave this machine without encryption.
pub fn leaks_secrets(base: &BaseUrl) -> bool {
    let is_local = match base.host().parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().is_loopback() || ip.is_unspecified(),
        Err(_) => {
            let host = base.host().trim_end_matches('.').to_ascii_lowercase();
            // RFC 6761 §6.3: names under `localhost` are loopback.
            host == "localhost" || host.ends_with(".localhost")
        }
    };
    !base.is_https() && !is_local
}

/// True if a connection to `target` reaches a listener at `bound`.
pub fn is_own(bound: SocketAddr, target: SocketAddr) -> bool {
    let (bound_ip, target_ip) = (bound.ip().to_canonical(), target.ip().to_canonical());
    bound.port() == target.port()
        && (bound_ip == target_ip
            // A connection to 0.0.0.0 goes to loopback.
            || (target_ip.is_unspecified() && (bound_ip.is_unspecified() || bound_ip.is_loopback()))
            || (bound_ip.is_unspecified() && is_this_machine(target_ip)))
}

/// True if the address can be bound, which only an address of this machine can.
fn is_this_machine(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}
