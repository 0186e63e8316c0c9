//! TLS to the upstream: protocols, shared connections and trust.
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::{Request, Version};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tower_api_key_name::names::Provider;

use crate::peer::{
    Asked, COSTS, NAMED, Proxy, ROWS, Reply, answer_all, client, full, json, listen, settings, soon,
};
use api_key_name_proxy::settings::Roots;

pub(crate) struct Secure {
    pub(crate) address: SocketAddr,
    authority: Authority,
    acceptor: Arc<Mutex<TlsAcceptor>>,
    /// The root certificate in PEM, for a proxy in its own process.
    pub(crate) root: String,
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
    pub(crate) connections: Arc<AtomicUsize>,
}

/// A certificate authority and its certificate for `localhost`.
pub(crate) struct Authority {
    root: rcgen::Certificate,
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let issuer_key = KeyPair::generate().unwrap();
        let mut issuer = CertificateParams::new(Vec::<String>::new()).unwrap();
        issuer.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = issuer.self_signed(&issuer_key).unwrap();
        let issuer = Issuer::new(issuer, issuer_key);
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        Self { root, certificate: CertificateDer::from(certificate.der().to_vec()), key }
    }

    pub(crate) fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.der().clone()).unwrap();
        Arc::new(roots)
    }

    pub(crate) fn acceptor(&self, protocols: &[&str]) -> TlsAcceptor {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![self.certificate.clone()],
                PrivateKeyDer::try_from(self.key.serialize_der()).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

pub(crate) async fn secure(protocols: &[&str]) -> Secure {
    let authority = Authority::new();
    let acceptor = Arc::new(Mutex::new(authority.acceptor(protocols)));
    let (listener, address) = listen().await;
    let asked = Arc::<Mutex<Vec<Asked>>>::default();
    let connections = Arc::<AtomicUsize>::default();
    let (up, count, current) = (asked.clone(), connections.clone(), acceptor.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let (acceptor, up) = (current.lock().unwrap().clone(), up.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    answer_all(stream, up, |_| {
                        let mut response = json(ROWS);
                        response.headers_mut().insert("set-cookie", "session=1".parse().unwrap());
                        response
                    })
                    .await;
                }
            });
        }
    });
    let root = authority.root.pem();
    Secure { address, authority, acceptor, root, asked, connections }
}

impl Secure {
    async fn proxy(&self, name: &str) -> Proxy {
        let mut settings = settings(&format!("https://{name}:{}/v1", self.address.port()));
        settings.roots = Roots::Only(self.authority.roots());
        Proxy::with(settings).await
    }

    /// Offers these protocols on new connections.
    fn offer(&self, protocols: &[&str]) {
        *self.acceptor.lock().unwrap() = self.authority.acceptor(protocols);
    }

    fn last(&self) -> Asked {
        self.asked.lock().unwrap().last().cloned().expect("nothing was asked")
    }
}

#[tokio::test]
async fn http2_is_used_if_alpn_offers_it() {
    for (protocols, version) in [
        (&["h2", "http/1.1"][..], Version::HTTP_2),
        (&["http/1.1"], Version::HTTP_11),
        (&[], Version::HTTP_11),
    ] {
        let upstream = secure(protocols).await;
        let proxy = upstream.proxy("localhost").await;
        for h2 in [false, true] {
            let mut request = Request::post(proxy.url(COSTS)).body(full("body")).unwrap();
            if !h2 {
                request.headers_mut().insert("connection", "x-hop".parse().unwrap());
                request.headers_mut().insert("x-hop", "1".parse().unwrap());
            }
            let reply = Reply::read(soon(client(h2).request(request)).await.unwrap()).await.unwrap();
            assert_eq!(reply.text(), NAMED);
            let asked = upstream.last();
            assert_eq!((asked.version, &asked.body[..]), (version, &b"body"[..]));
            assert!(!asked.headers.contains_key("x-hop"));
            assert_eq!(asked.headers["te"], "trailers");
            let authority = format!("localhost:{}", upstream.address.port());
            if version == Version::HTTP_2 {
                assert_eq!(asked.uri.authority().unwrap().as_str(), authority);
                assert!(!asked.headers.contains_key("connection"));
                assert!(reply.header("via").unwrap().starts_with("2.0 "));
            } else {
                assert_eq!(asked.headers["host"], authority);
                assert!(reply.header("via").unwrap().starts_with("1.1 "));
            }
        }
    }
}

#[tokio::test]
async fn connections_are_reused_and_shared_in_http2() {
    for (protocols, most) in [(["h2"], 1), (["http/1.1"], 4)] {
        let upstream = secure(&protocols).await;
        let proxy = upstream.proxy("localhost").await;
        assert_eq!(proxy.get(COSTS).await.text(), NAMED);
        for _ in 0..4 {
            let get = || proxy.get(COSTS);
            let (a, b, c, d) = tokio::join!(get(), get(), get(), get());
            assert!([a, b, c, d].iter().all(|reply| reply.text() == NAMED));
        }
        let connections = upstream.connections.load(Ordering::SeqCst);
        assert!(connections <= most, "{protocols:?} {connections}");
    }
}

/// Content that the upstream does not read would block all other streams of the connection.
#[tokio::test]
async fn upload_has_its_own_connection_in_http2() {
    let upstream = secure(&["h2"]).await;
    let proxy = upstream.proxy("localhost").await;
    for nth in 1..4 {
        assert_eq!(proxy.get(COSTS).await.text(), NAMED);
        let reply = proxy.send(Request::post(proxy.url(COSTS)).body(full("body")).unwrap()).await;
        assert_eq!(reply.text(), NAMED);
        assert_eq!((upstream.last().version, &upstream.last().body[..]), (Version::HTTP_2, &b"body"[..]));
        assert_eq!(upstream.connections.load(Ordering::SeqCst), 1 + nth, "and the others share one");
    }
}

/// The client for the old protocol reads none of the content, so that content of any size is sent again.
#[tokio::test]
async fn upload_is_sent_again_after_the_upstream_changes_its_protocol() {
    for (before, after, version) in
        [("h2", "http/1.1", Version::HTTP_11), ("http/1.1", "h2", Version::HTTP_2)]
    {
        let upstream = secure(&[before]).await;
        let proxy = upstream.proxy("localhost").await;
        assert_eq!(proxy.get(COSTS).await.text(), NAMED);
        upstream.offer(&[after]);
        for _ in 0..2 {
            let request = Request::post(proxy.url(COSTS)).body(full(vec![b'x'; 1 << 20])).unwrap();
            assert_eq!(proxy.send(request).await.text(), NAMED);
            assert_eq!((upstream.last().version, upstream.last().body.len()), (version, 1 << 20));
        }
    }
}

/// The payload of the first HEADERS frame that is read (RFC 9113 §4.1, §6.2).
async fn headers_frame(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    loop {
        let mut head = [0; 9];
        soon(stream.read_exact(&mut head)).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        soon(stream.read_exact(&mut payload)).await.unwrap();
        if head[3] == 1 {
            return payload;
        }
    }
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// True if the block has a literal that is never indexed, with this name of the static table (RFC 7541 §6.2.3, §5.1).
fn never_indexed(headers: &[u8], place: u8) -> bool {
    headers.windows(2).any(|bytes| bytes == [0b0001_1111, place - 15])
}

#[tokio::test]
async fn secret_headers_are_never_indexed_by_hpack() {
    // RFC 7541 appendix A.
    const AUTHORIZATION: u8 = 23;
    const COOKIE: u8 = 32;
    const SET_COOKIE: u8 = 55;

    let authority = Authority::new();
    let acceptor = authority.acceptor(&["h2"]);
    let (listener, address) = listen().await;
    let asked = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        let mut preface = [0; PREFACE.len()];
        stream.read_exact(&mut preface).await.unwrap();
        headers_frame(&mut stream).await
    });
    let mut settings = settings(&format!("https://localhost:{}", address.port()));
    settings.roots = Roots::Only(authority.roots());
    let proxy = Proxy::with(settings).await;
    let secret = [("authorization", "Bearer k"), ("cookie", "c=1")];
    let request = secret
        .iter()
        .fold(Request::get(proxy.url(COSTS)), |request, (name, value)| request.header(*name, *value));
    let _call = tokio::spawn(client(false).request(request.body(full("")).unwrap()));
    let asked = soon(asked).await.unwrap();
    assert!(never_indexed(&asked, AUTHORIZATION) && never_indexed(&asked, COOKIE), "{asked:x?}");

    let upstream = secure(&["http/1.1"]).await;
    let proxy = upstream.proxy("localhost").await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    // GET, http, the path, the authority: RFC 7541 §6.1, §6.2.2.
    let mut block = vec![0x82, 0x86, 0x04, COSTS.len() as u8];
    block.extend_from_slice(COSTS.as_bytes());
    block.extend_from_slice(b"\x01\x01x");
    let mut begun = PREFACE.to_vec();
    begun.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
    begun.extend_from_slice(&[0, 0, block.len() as u8, 1, 0b0000_0101, 0, 0, 0, 1]);
    begun.extend_from_slice(&block);
    stream.write_all(&begun).await.unwrap();
    let answer = headers_frame(&mut stream).await;
    assert!(never_indexed(&answer, SET_COOKIE), "{answer:x?}");
}

#[tokio::test]
async fn untrusted_certificate_fails_with_502() {
    let upstream = secure(&["h2"]).await;
    let mut stranger = settings(&format!("https://localhost:{}", upstream.address.port()));
    stranger.roots = Roots::Only(secure(&["h2"]).await.authority.roots());
    Proxy::with(stranger).await.get(COSTS).await.is_error(502, "upstream_transport_error");
    let proxy = upstream.proxy("127.0.0.1").await;
    proxy.get(COSTS).await.is_error(502, "upstream_transport_error");
    assert!(upstream.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn client_is_made_with_platform_roots() {
    // A request would leave this machine.
    let settings = settings("https://api.openai.com/v1");
    assert!(matches!(settings.roots, Roots::Platform));
    api_key_name_proxy::upstream::service(&settings.upstream(Provider::OpenAi)).unwrap();
}
