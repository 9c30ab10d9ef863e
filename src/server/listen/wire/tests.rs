use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::net::TcpListener;

use super::*;

/// Both ends of one TCP connection.
async fn tcp() -> (Wire, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await;
    let (server, _) = listener.accept().await.unwrap();
    (Wire::Tcp(server), client.unwrap())
}

#[tokio::test]
async fn what_was_read_comes_again_before_the_rest_whatever_the_size_of_a_read() {
    for size in 1..=8 {
        let (inner, mut far) = duplex(64);
        far.write_all(b"defgh").await.unwrap();
        drop(far);
        let mut rewound = Rewound::with(Bytes::from_static(b"abc"), inner);
        let (mut all, mut piece) = (Vec::new(), vec![0; size]);
        loop {
            let count = rewound.read(&mut piece).await.unwrap();
            if count == 0 {
                break;
            }
            all.extend_from_slice(&piece[..count]);
        }
        assert_eq!(all, b"abcdefgh", "{size}");
    }
}

#[tokio::test]
async fn what_was_read_comes_without_waiting_for_more() {
    let (inner, _far) = duplex(64);
    let mut rewound = Rewound::with(Bytes::from_static(b"abc"), inner);
    let mut into = [0; 8];
    assert_eq!(rewound.read(&mut into).await.unwrap(), 3);
}

#[tokio::test]
async fn what_is_written_does_not_wait_for_what_is_to_be_read() {
    let (inner, mut far) = duplex(64);
    let mut rewound = Rewound::with(Bytes::from_static(b"abc"), inner);
    rewound.write_all(b"out").await.unwrap();
    rewound.shutdown().await.unwrap();
    let mut seen = Vec::new();
    far.read_to_end(&mut seen).await.unwrap();
    assert_eq!(seen, b"out");
}

#[tokio::test]
async fn both_kinds_of_wire_carry_bytes_both_ways_and_say_their_end() {
    let (server, client) = tcp().await;
    exchange(server, Wire::Tcp(client)).await;
    let (server, client) = UnixStream::pair().unwrap();
    exchange(Wire::Unix(server), Wire::Unix(client)).await;
}

async fn exchange(mut server: Wire, mut client: Wire) {
    assert!(server.is_write_vectored());
    let pieces = [IoSlice::new(b"one"), IoSlice::new(b"two")];
    assert_eq!(server.write_vectored(&pieces).await.unwrap(), 6);
    server.flush().await.unwrap();
    server.shutdown().await.unwrap();
    let mut seen = Vec::new();
    client.read_to_end(&mut seen).await.unwrap();
    assert_eq!(seen, b"onetwo");
    client.write_all(b"back").await.unwrap();
    drop(client);
    seen.clear();
    server.read_to_end(&mut seen).await.unwrap();
    assert_eq!(seen, b"back");
}

#[tokio::test]
async fn a_wire_that_is_closed_is_an_end_and_one_that_is_reset_is_none() {
    let (server, mut client) = tcp().await;
    drop(server);
    assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);

    let (mut server, mut client) = tcp().await;
    server.write_all(b"half").await.unwrap();
    client.read_exact(&mut [0; 4]).await.unwrap();
    server.reset_on_close();
    drop(server);
    let error = client.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}
