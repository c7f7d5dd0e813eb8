//! A network between a node and the database that can be cut.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crate::site::PATIENCE;

/// Carries bytes between a node and the database, until it is cut: then they go nowhere, and nobody is told.
pub(super) struct Relay {
    pub(super) port: u16,
    is_cut: Arc<AtomicBool>,
}

impl Relay {
    pub(super) fn to(port: u16) -> Relay {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let relay = Relay {
            port: listener.local_addr().unwrap().port(),
            is_cut: Arc::default(),
        };
        let is_cut = Arc::clone(&relay.is_cut);
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else {
                    continue;
                };
                let (back, forth) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                for (from, to) in [(near, forth), (far, back)] {
                    let is_cut = Arc::clone(&is_cut);
                    thread::spawn(move || carry(from, to, &is_cut));
                }
            }
        });
        relay
    }

    pub(super) fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::SeqCst);
    }
}

/// A connection that has met a cut stays silent for ever, as one behind a dead switch.
fn carry(mut from: TcpStream, mut to: TcpStream, is_cut: &AtomicBool) {
    let mut bytes = [0; 65536];
    loop {
        match from.read(&mut bytes) {
            Ok(0) | Err(_) => {
                let _ = to.shutdown(Shutdown::Both);
                return;
            }
            Ok(_) if is_cut.load(Ordering::SeqCst) => thread::sleep(PATIENCE),
            Ok(count) => {
                if to.write_all(&bytes[..count]).is_err() {
                    return;
                }
            }
        }
    }
}
