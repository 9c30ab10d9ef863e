use std::collections::HashMap;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio_rustls::TlsConnector;
use tokio_rustls::client;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ProtocolVersion, RootCertStore, version};

use super::*;

/// A folder with a certificate for `localhost` and its key, as PEM.
struct Folder {
    folder: TempDir,
    pair: CertifiedKey<KeyPair>,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pair = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = Self { folder, pair };
        folder.write("certificate.pem", &folder.pair.cert.pem());
        folder.write("key.pem", &folder.pair.signing_key.serialize_pem());
        folder
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn files(&self) -> config::Tls {
        config::Tls {
            certificate_file: self.folder.path().join("certificate.pem"),
            key_file: self.folder.path().join("key.pem"),
        }
    }

    /// What is said of the files, down to the cause.
    fn refusal(&self) -> String {
        said(&Certificates::read(&self.files()).expect_err("a mistake"))
    }

    /// A client that believes this certificate.
    fn client(&self, protocols: &[&str]) -> Arc<ClientConfig> {
        self.client_of(rustls::DEFAULT_VERSIONS, protocols)
    }

    fn client_of(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
        protocols: &[&str],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.pair.cert.der().clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let bytes = |name: &&str| name.as_bytes().to_vec();
        config.alpn_protocols = protocols.iter().map(bytes).collect();
        Arc::new(config)
    }
}

fn said(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", said(source)),
        None => error.to_string(),
    }
}

type Sides = (
    io::Result<client::TlsStream<DuplexStream>>,
    io::Result<TlsStream<DuplexStream>>,
);

async fn shake_hands(certificates: &Certificates, client: Arc<ClientConfig>) -> Sides {
    let (near, far) = duplex(16_384);
    let name = ServerName::try_from("localhost").unwrap();
    tokio::join!(
        TlsConnector::from(client).connect(name, far),
        certificates.accept(near)
    )
}

#[tokio::test]
async fn both_protocols_are_offered_and_http_2_is_preferred() {
    let folder = Folder::new();
    let certificates = Certificates::read(&folder.files()).unwrap();
    for (offered, taken) in [
        (&["http/1.1", "h2"][..], Some("h2")),
        (&["h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&["http/1.0", "http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let (client, server) = shake_hands(&certificates, folder.client(offered)).await;
        client.unwrap();
        let server = server.unwrap();
        let alpn = server.get_ref().1.alpn_protocol();
        assert_eq!(alpn, taken.map(str::as_bytes), "{offered:?}");
    }
    let (client, server) = shake_hands(&certificates, folder.client(&["spdy/3"])).await;
    assert!(
        client.is_err() && server.is_err(),
        "nothing in common is no connection"
    );
}

#[tokio::test]
async fn bytes_go_both_ways_and_the_end_is_said() {
    let folder = Folder::new();
    let certificates = Certificates::read(&folder.files()).unwrap();
    let (client, server) = shake_hands(&certificates, folder.client(&[])).await;
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    client.write_all(b"ping").await.unwrap();
    client.shutdown().await.unwrap();
    let mut seen = Vec::new();
    server.read_to_end(&mut seen).await.unwrap();
    assert_eq!(seen, b"ping");
    server.write_all(b"pong").await.unwrap();
    server.shutdown().await.unwrap();
    seen.clear();
    client.read_to_end(&mut seen).await.unwrap();
    assert_eq!(seen, b"pong");
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken() {
    let folder = Folder::new();
    let certificates = Certificates::read(&folder.files()).unwrap();
    for (spoken, expected) in [
        (&version::TLS12, ProtocolVersion::TLSv1_2),
        (&version::TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let client = folder.client_of(&[spoken], &["h2"]);
        let (_, server) = shake_hands(&certificates, client).await;
        let server = server.unwrap();
        assert_eq!(server.get_ref().1.protocol_version(), Some(expected));
    }
}

#[tokio::test]
async fn plain_http_on_a_tls_listener_is_an_error() {
    let folder = Folder::new();
    let certificates = Certificates::read(&folder.files()).unwrap();
    let (near, mut far) = duplex(1024);
    far.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    assert!(certificates.accept(near).await.is_err());
}

#[tokio::test]
async fn new_connections_get_the_certificate_that_was_read_again_and_open_ones_go_on() {
    let folder = Folder::new();
    let certificates = Certificates::read(&folder.files()).unwrap();
    let shared = certificates.clone();
    let (client, server) = shake_hands(&shared, folder.client(&[])).await;
    let (mut open, mut far) = (client.unwrap(), server.unwrap());

    let renewed = Folder::new();
    fs::copy(
        renewed.files().certificate_file,
        folder.files().certificate_file,
    )
    .unwrap();
    fs::copy(renewed.files().key_file, folder.files().key_file).unwrap();
    let (client, _) = shake_hands(&shared, folder.client(&[])).await;
    assert!(client.is_ok(), "not before it is told to");
    certificates.reread().unwrap();

    let (client, _) = shake_hands(&shared, renewed.client(&[])).await;
    assert!(client.is_ok(), "clones share what was read");
    let (client, _) = shake_hands(&shared, folder.client(&[])).await;
    assert!(client.is_err());
    open.write_all(b"still here").await.unwrap();
    open.flush().await.unwrap();
    far.read_exact(&mut [0; 10]).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_used_leaves_the_certificate_before_in_use() {
    let folder = Folder::new();
    let certificates = Certificates::read(&folder.files()).unwrap();
    fs::copy(Folder::new().files().key_file, folder.files().key_file).unwrap();
    let error = certificates.reread().unwrap_err();
    assert!(matches!(error, Error::NoPair { .. }), "{error}");
    let (client, _) = shake_hands(&certificates, folder.client(&[])).await;
    assert!(client.is_ok());
}

#[test]
fn each_mistake_names_its_file_and_shows_nothing_of_it() {
    let good = Folder::new();
    let (certificate, key) = (good.pair.cert.pem(), good.pair.signing_key.serialize_pem());
    // Base64 of it stands in the file where a key would: none of it may be shown.
    let planted = "UExBTlRFRC1TRUNSRVQ";
    let damaged = format!("-----BEGIN PRIVATE KEY-----\n{planted}=\n-----END PRIVATE KEY-----\n");
    let texts = HashMap::from([
        ("certificate", certificate.clone()),
        ("key", key.clone()),
        ("nothing", String::new()),
        ("damaged key", damaged.clone()),
        (
            "damaged certificate",
            damaged.replace("PRIVATE KEY", "CERTIFICATE"),
        ),
        (
            "no end",
            damaged.split("-----END").next().unwrap().to_owned(),
        ),
        ("no base64", damaged.replace('=', "!!")),
        ("no line", damaged.replace("KEY-----\nUEx", "KEY UEx")),
        ("encrypted", damaged.replace("PRIVATE", "ENCRYPTED PRIVATE")),
        (
            "another's key",
            Folder::new().pair.signing_key.serialize_pem(),
        ),
    ]);
    for (certificate, key, expected) in [
        ("nothing", "key", "certificate.pem holds no certificate"),
        ("key", "key", "certificate.pem holds no certificate"),
        ("no end", "key", "certificate.pem is not well-formed PEM"),
        ("damaged certificate", "key", "the certificate in "),
        ("certificate", "nothing", "key.pem holds no private key"),
        ("certificate", "certificate", "key.pem holds no private key"),
        (
            "certificate",
            "encrypted",
            "one with a passphrase cannot be used",
        ),
        ("certificate", "no end", "key.pem is not well-formed PEM"),
        ("certificate", "no base64", "key.pem is not well-formed PEM"),
        ("certificate", "no line", "key.pem is not well-formed PEM"),
        (
            "certificate",
            "damaged key",
            "key.pem holds a private key that is damaged",
        ),
        (
            "certificate",
            "another's key",
            "is not that of the first certificate",
        ),
    ] {
        good.write("certificate.pem", &texts[certificate]);
        good.write("key.pem", &texts[key]);
        let said = good.refusal();
        assert!(said.contains(expected), "{certificate}, {key}: {said}");
        assert!(
            said.contains(good.folder.path().to_str().unwrap()),
            "{said}"
        );
        assert!(
            !said.contains(planted) && !said.contains("PLANTED"),
            "{said}"
        );
        let quoted = planted.as_bytes()[..3].iter().map(ToString::to_string);
        assert!(
            !said.contains(&quoted.collect::<Vec<_>>().join(", ")),
            "{said}"
        );
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let folder = Folder::new();
    fs::remove_file(folder.files().key_file).unwrap();
    let said = folder.refusal();
    assert!(
        said.contains("key.pem cannot be read: No such file"),
        "{said}"
    );
    fs::remove_file(folder.files().certificate_file).unwrap();
    let said = folder.refusal();
    assert!(
        said.contains("certificate.pem cannot be read: No such file"),
        "{said}"
    );
}

#[test]
fn one_file_may_hold_certificate_and_key() {
    let folder = Folder::new();
    let both = folder.pair.cert.pem() + &folder.pair.signing_key.serialize_pem();
    folder.write("key.pem", &both);
    folder.write("certificate.pem", &both);
    assert!(Certificates::read(&folder.files()).is_ok());
}

#[test]
fn a_key_that_everybody_may_read_is_worth_a_warning() {
    let folder = Folder::new();
    let certificates = Certificates::read(&folder.files()).unwrap();
    let allow = |mode| {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(folder.files().key_file, permissions).unwrap();
    };
    for quiet in [0o400, 0o600, 0o640] {
        allow(quiet);
        assert_eq!(certificates.warning(), None, "{quiet:o}");
    }
    allow(0o644);
    let said = certificates.warning().unwrap();
    assert!(said.contains("key.pem can be read by every user"), "{said}");
}

#[test]
fn nothing_of_the_key_is_printed() {
    let certificates = Certificates::read(&Folder::new().files()).unwrap();
    let printed = format!("{certificates:?}");
    assert!(
        printed.contains("key.pem") && !printed.contains("SigningKey"),
        "{printed}"
    );
}
