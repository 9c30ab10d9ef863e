use std::fs;
use std::future::Future;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Waker};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

async fn bind(address: &str) -> io::Result<Vec<Socket>> {
    bind_with(address, None).await
}

async fn bind_with(address: &str, mode: Option<u32>) -> io::Result<Vec<Socket>> {
    let address = address.parse().unwrap();
    Socket::bind(&address, mode, &mut Inherited::none()).await
}

async fn bind_one(address: &str) -> Socket {
    let [socket] = bind(address).await.unwrap().try_into().unwrap();
    socket
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.sock");
    (folder, path)
}

fn unix(path: &Path) -> String {
    format!("unix:{}", path.display())
}

fn port_of(socket: &Socket) -> u16 {
    let address: SocketAddr = socket.address().parse().unwrap();
    address.port()
}

/// A name for the loopback addresses of both families, as `localhost` is.
fn both(port: u16) -> impl Iterator<Item = SocketAddr> {
    let v4 = SocketAddr::from(([127, 0, 0, 1], port));
    let v6 = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port));
    [v6, v4, v4].into_iter()
}

#[tokio::test]
async fn a_tcp_connection_comes_with_its_address_and_without_delay() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let socket = bind_one(address).await;
        assert_ne!(port_of(&socket), 0);
        assert!(!socket.is_inherited());
        let (client, accepted) =
            tokio::join!(TcpStream::connect(socket.address()), socket.accept());
        let (Wire::Tcp(stream), peer) = accepted.unwrap() else {
            panic!("TCP");
        };
        assert_eq!(peer, Some(client.unwrap().local_addr().unwrap().ip()));
        assert!(stream.nodelay().unwrap());
        assert!(SockRef::from(&stream).keepalive().unwrap());
        assert_eq!(
            SockRef::from(&stream).tcp_keepalive_time().unwrap(),
            KEEPALIVE.0
        );
        let unsent = SockRef::from(&stream).tcp_notsent_lowat().unwrap();
        assert_eq!(unsent, UNSENT);
    }
}

#[tokio::test]
async fn ipv6_is_ipv6_alone_so_that_both_families_have_the_same_port() {
    let v4 = bind_one("0.0.0.0:0").await;
    let v6 = bind_one(&format!("[::]:{}", port_of(&v4))).await;
    assert_eq!(v6.address(), format!("[::]:{}", port_of(&v4)));
    let v4_only = bind_one("[::]:0").await;
    let refused = TcpStream::connect(("127.0.0.1", port_of(&v4_only))).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_host_with_several_addresses_is_listened_at_on_all_of_them_once() {
    let free = port_of(&bind_one("127.0.0.1:0").await);
    let sockets = Socket::bind_any(both(free), false).unwrap();
    let addresses: Vec<_> = sockets.iter().map(Socket::address).collect();
    assert_eq!(
        addresses,
        [format!("[::1]:{free}"), format!("127.0.0.1:{free}")]
    );
    let any = Socket::bind_any(both(0), true).unwrap();
    assert_eq!(any.len(), 1, "for any free port one is enough");
}

#[tokio::test]
async fn an_address_that_is_not_here_is_missed_only_if_there_is_no_other() {
    // For documentation (RFC 5737): nobody has it.
    let elsewhere = SocketAddr::from(([192, 0, 2, 1], 0));
    let here = SocketAddr::from(([127, 0, 0, 1], 0));
    let sockets = Socket::bind_any([elsewhere, here].into_iter(), false).unwrap();
    assert_eq!(sockets.len(), 1);
    let error = Socket::bind_any([elsewhere].into_iter(), false).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    assert!(Socket::bind_any([].into_iter(), false).is_err());
    assert!(is_not_here(&io::Error::from_raw_os_error(97)));
}

#[tokio::test]
async fn one_address_of_several_that_is_taken_is_an_error() {
    let taken = bind_one("127.0.0.1:0").await;
    let error = Socket::bind_any(both(port_of(&taken)), false).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn a_unix_socket_has_its_mode_and_is_gone_when_dropped() {
    let (folder, path) = folder();
    for (mode, expected) in [(None, 0o660), (Some(0o600), 0o600), (Some(0o777), 0o777)] {
        let [socket] = bind_with(&unix(&path), mode)
            .await
            .unwrap()
            .try_into()
            .unwrap();
        assert_eq!(socket.address(), unix(&path));
        let file = fs::symlink_metadata(&path).unwrap();
        assert!(file.file_type().is_socket());
        assert_eq!(file.permissions().mode() & 0o777, expected);
        drop(socket);
        let left = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 0, "neither the file nor its draft is left");
    }
}

#[tokio::test]
async fn a_unix_connection_has_no_address() {
    let (_folder, path) = folder();
    let socket = bind_one(&unix(&path)).await;
    let (client, accepted) = tokio::join!(UnixStream::connect(&path), socket.accept());
    let (mut wire, peer) = accepted.unwrap();
    assert_eq!(peer, None);
    client.unwrap().write_all(b"hello").await.unwrap();
    let mut seen = Vec::new();
    wire.read_to_end(&mut seen).await.unwrap();
    assert_eq!(seen, b"hello");
}

#[tokio::test]
async fn the_file_of_a_gateway_that_was_killed_is_replaced() {
    let (_folder, path) = folder();
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "left behind");
    let socket = bind_one(&unix(&path)).await;
    let (client, accepted) = tokio::join!(UnixStream::connect(&path), socket.accept());
    assert!(client.is_ok() && accepted.is_ok());
}

#[tokio::test]
async fn the_file_of_a_gateway_that_lives_is_left_to_it() {
    let (folder, path) = folder();
    let first = bind_one(&unix(&path)).await;
    let error = bind(&unix(&path)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    let (client, accepted) = tokio::join!(UnixStream::connect(&path), first.accept());
    assert!(client.is_ok() && accepted.is_ok());
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "no draft is left"
    );
}

#[tokio::test]
async fn one_that_is_too_busy_to_answer_lives() {
    let (_folder, path) = folder();
    let (_busy, _file) = SocketFile::bind(&path, 0o600, 0).unwrap();
    let mut waiting = Vec::new();
    // Until its queue is full.
    while let Ok(Ok(client)) =
        tokio::time::timeout(Duration::from_millis(100), UnixStream::connect(&path)).await
    {
        waiting.push(client);
    }
    let error = bind(&unix(&path)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn what_is_no_socket_is_never_removed() {
    let (folder, path) = folder();
    let precious = folder.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    fs::write(&path, "precious").unwrap();
    let error = bind(&unix(&path)).await.unwrap_err();
    assert!(
        error.to_string().contains("no socket: remove it"),
        "{error}"
    );
    fs::remove_file(&path).unwrap();
    symlink(&precious, &path).unwrap();
    assert!(bind(&unix(&path)).await.is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(bind(&unix(&path)).await.is_err());
}

#[tokio::test]
async fn the_file_of_the_next_run_is_not_removed_by_the_one_before() {
    let (_folder, path) = folder();
    let before = bind_one(&unix(&path)).await;
    fs::remove_file(&path).unwrap();
    let _next = bind_one(&unix(&path)).await;
    drop(before);
    assert!(UnixStream::connect(&path).await.is_ok());
}

#[tokio::test]
async fn the_longest_path_that_is_taken_leaves_room_for_the_draft() {
    let folder = tempfile::tempdir().unwrap();
    let length = 100 - folder.path().as_os_str().len() - 1;
    let longest = folder.path().join("s".repeat(length));
    bind_one(&unix(&longest)).await;
    let longer = unix(&longest) + "s";
    assert!(longer.parse::<config::Address>().is_err());
}

#[tokio::test]
async fn what_is_queued_can_be_had_without_waiting_and_nothing_more() {
    let (_folder, path) = folder();
    let sockets = [bind_one("127.0.0.1:0").await, bind_one(&unix(&path)).await];
    for socket in &sockets {
        assert!(socket.try_accept().is_none());
        let mut clients = Vec::new();
        for _ in 0..3 {
            // Without the runtime, so that it has not heard of them.
            clients.push(connect(socket.address()));
        }
        for mut client in clients {
            let (mut wire, _) = socket.try_accept().expect("it is queued").unwrap();
            io::Write::write_all(&mut client, b"hello").unwrap();
            wire.read_exact(&mut [0; 5]).await.unwrap();
        }
        assert!(socket.try_accept().is_none());
    }
}

fn connect(address: String) -> Box<dyn io::Write> {
    match address.strip_prefix("unix:") {
        Some(path) => Box::new(std::os::unix::net::UnixStream::connect(path).unwrap()),
        None => Box::new(std::net::TcpStream::connect(address).unwrap()),
    }
}

#[tokio::test]
async fn accepting_goes_on_after_it_was_given_up_and_after_a_look_at_the_queue() {
    let socket = bind_one("127.0.0.1:0").await;
    {
        let mut accepting = pin!(socket.accept());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(accepting.as_mut().poll(&mut cx).is_pending());
    }
    let _first = std::net::TcpStream::connect(socket.address()).unwrap();
    assert!(socket.try_accept().is_some());
    let (client, accepted) = tokio::join!(TcpStream::connect(socket.address()), socket.accept());
    let (_, peer) = accepted.unwrap();
    assert_eq!(peer, Some(client.unwrap().local_addr().unwrap().ip()));
}

#[tokio::test]
async fn sockets_that_were_passed_are_found_by_name_and_are_not_ours() {
    let (_folder, path) = folder();
    let tcp = || {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    };
    let unix_socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    unix_socket.set_nonblocking(true).unwrap();
    let expected = [tcp(), tcp()];
    let passed = |socket: &std::net::TcpListener| Passed::Tcp(socket.try_clone().unwrap());
    let mut inherited = Inherited::of(vec![
        ("clients", passed(&expected[0])),
        ("admin", Passed::Unix(unix_socket)),
        ("clients", passed(&expected[1])),
    ]);
    let address = "fd:clients".parse().unwrap();
    let clients = Socket::bind(&address, None, &mut inherited).await.unwrap();
    let addresses: Vec<_> = clients.iter().map(Socket::address).collect();
    let expected = expected.map(|socket| socket.local_addr().unwrap().to_string());
    assert_eq!(addresses, expected);
    assert!(clients.iter().all(Socket::is_inherited));

    let address = "fd:admin".parse().unwrap();
    let admin = Socket::bind(&address, None, &mut inherited).await.unwrap();
    assert_eq!(admin[0].address(), unix(&path));
    drop(admin);
    assert!(path.exists(), "it is the service manager's");
}

#[tokio::test]
async fn ipv4_inside_ipv6_is_ipv4() {
    let socket = socket2::Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
    socket.set_only_v6(false).unwrap();
    let any = SocketAddr::from(([0; 16], 0));
    socket.bind(&any.into()).unwrap();
    socket.listen(8).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut inherited = Inherited::of(vec![("dual", Passed::Tcp(socket.into()))]);
    let address = "fd:dual".parse().unwrap();
    let sockets = Socket::bind(&address, None, &mut inherited).await.unwrap();
    let connecting = TcpStream::connect(("127.0.0.1", port_of(&sockets[0])));
    let (_client, accepted) = tokio::join!(connecting, sockets[0].accept());
    assert_eq!(accepted.unwrap().1, Some(IpAddr::from([127, 0, 0, 1])));
}
