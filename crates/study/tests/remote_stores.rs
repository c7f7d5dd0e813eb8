//! A store in a real S3 server, and one on a remote of rclone's configuration: what is sent, killed, damaged,
//! refused and away for a while.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

#[path = "servers/s3.rs"]
mod s3;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

use s3::{BUCKET, S3Server, python};
use study::{
    store::{
        Kind, NodeCache, NodeWeights, ObjectName, Patience, Store, StoreError, Stored,
        delivery::{fetch, publish},
        sweep::{Keep, Needs, sweep},
    },
    trial::Digest,
};

/// More than one part of an upload: these are 16 MiB.
const MANY_PARTS: usize = 20 << 20;

/// What a fetching process that is to be killed is told through its environment.
const VICTIM: &str = "LEHR_TEST_FETCH";

impl S3Server {
    /// Waits until so many uploads have been begun and not ended.
    fn wait_for_uploads(&mut self, count: &str) {
        let until = Instant::now() + Duration::from_secs(20);
        while self.tell("uploads") != count {
            assert!(Instant::now() < until, "no upload was begun");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn store(&self, prefix: &str) -> Store {
        self.opened(prefix, "")
    }

    /// A store whose transfers take their time.
    fn slow_store(&self, prefix: &str, bandwidth: &str) -> Store {
        self.opened(prefix, &format!("RCLONE_BWLIMIT={bandwidth}"))
    }

    fn opened(&self, prefix: &str, beside: &str) -> Store {
        let address = self.address(&format!("{BUCKET}/{prefix}"), beside);
        Store::open(&address.parse().unwrap()).unwrap()
    }

    fn file(&self, name: &str, bytes: &[u8]) -> (PathBuf, ObjectName) {
        let path = self.place.path().join(name);
        fs::write(&path, bytes).unwrap();
        (path, ObjectName::weights(&Digest::of(bytes)))
    }
}

fn one_try() -> Patience {
    Patience {
        attempts: 1,
        ..Patience::default()
    }
}

/// Bytes that do not repeat, so that parts that were swapped would be noticed.
fn drawn(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..count.div_ceil(8))
        .flat_map(|_| next())
        .take(count)
        .collect()
}

/// The process of rclone that carries something to or from this path; waits until it has begun.
fn transfer_of(path: &str) -> (i32, String) {
    let until = Instant::now() + Duration::from_secs(20);
    while Instant::now() < until {
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let number = entry.file_name().to_string_lossy().parse::<i32>();
            let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&words).replace('\0', " ");
            let is_it = words.starts_with("rclone copyto") && words.contains(path);
            if let (Ok(number), true) = (number, is_it) {
                return (number, words);
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("nothing carries {path}");
}

fn kill(process: i32) {
    let process = rustix::process::Pid::from_raw(process).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn small_and_large_objects_are_put_listed_got_and_removed() {
    let Some(server) = S3Server::start() else {
        return;
    };
    let store = server.store("a/b");
    let (small, small_name) = server.file("small", b"weights");
    let (large, large_name) = server.file("large", &drawn(MANY_PARTS, 7));
    assert!(store.list().unwrap().is_empty());
    assert!(!store.has(&small_name).unwrap());
    for (file, name) in [(&small, &small_name), (&large, &large_name)] {
        assert_eq!(store.put(name, file).unwrap(), Stored::Sent);
        assert_eq!(store.put(name, file).unwrap(), Stored::There);
    }
    let mut bytes: Vec<u64> = store
        .list()
        .unwrap()
        .iter()
        .map(|found| found.bytes)
        .collect();
    bytes.sort_unstable();
    assert_eq!(bytes, [7, MANY_PARTS as u64]);
    assert!(
        store
            .list()
            .unwrap()
            .iter()
            .all(|found| found.age_seconds < 600.0)
    );
    let copy = server.place.path().join("copy");
    assert_eq!(store.get(&large_name, &copy).unwrap(), MANY_PARTS as u64);
    assert!(fs::read(&copy).unwrap() == drawn(MANY_PARTS, 7));
    // Another prefix is another store.
    assert!(!server.store("a").has(&small_name).unwrap());
    store
        .remove(&[large_name.to_string(), "not.there".to_string()])
        .unwrap();
    let left: Vec<String> = store
        .list()
        .unwrap()
        .into_iter()
        .map(|found| found.name)
        .collect();
    assert_eq!(left, [small_name.to_string()]);
    let error = store.get(&large_name, &copy).unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
}

#[test]
fn an_object_store_is_swept_of_what_nobody_needs() {
    let Some(mut server) = S3Server::start() else {
        return;
    };
    let store = server.store("weights");
    let (needed, needed_name) = server.file("needed", b"a parent");
    let (other, other_name) = server.file("other", b"of nobody");
    store.put(&needed_name, &needed).unwrap();
    store.put(&other_name, &other).unwrap();
    let needs = Needs::of(&[], &[], &[needed_name.digest().clone()]);
    // What no row names may be about to be named.
    let listed = store.list().unwrap();
    assert!(sweep(&needs, Keep::default(), &listed).goes.is_empty());
    let keep = Keep {
        young_seconds: 0.0,
        ..Keep::default()
    };
    let swept = sweep(&needs, keep, &listed);
    swept.carry_out(&store).unwrap();
    assert!(store.has(&needed_name).unwrap() && !store.has(&other_name).unwrap());
    // A second sweep of the same, as by two masters, harms nothing; one without the store says so.
    swept.carry_out(&store).unwrap();
    server.do_it("stop");
    let away = store.with_patience(one_try());
    let error = swept.carry_out(&away).unwrap_err().to_string();
    assert!(error.contains("connection refused"), "{error}");
}

#[test]
fn an_upload_that_is_killed_leaves_nothing_to_see_and_is_done_again() {
    let Some(mut server) = S3Server::start() else {
        return;
    };
    let (file, name) = server.file("large", &drawn(MANY_PARTS, 9));
    let store = server.store("weights");
    let slow = server.slow_store("weights", "6M");
    let words = thread::scope(|scope| {
        let once = slow.clone().with_patience(one_try());
        let (file, name) = (&file, &name);
        let putting = scope.spawn(move || once.put(name, file));
        let (process, words) = transfer_of(file.to_str().unwrap());
        server.wait_for_uploads("1");
        assert!(!store.has(name).unwrap());
        kill(process);
        let error = putting.join().unwrap().unwrap_err().to_string();
        assert!(error.contains("ended by signal 9"), "{error}");
        words
    });
    // What everybody on the machine could read said nothing of the keys.
    let is_said = |key| words.contains(server.said(key));
    assert!(!is_said("secret_key") && !is_said("access_key"));
    assert!(store.list().unwrap().is_empty());
    // What came of it lies in the bucket, out of sight. This server says of every upload that it was begun in
    // 2010, so that it is nobody's any more.
    assert_eq!(server.tell("uploads"), "1");
    store.forget_broken_uploads().unwrap();
    assert_eq!(server.tell("uploads"), "0");
    // With patience the next try is the same call.
    thread::scope(|scope| {
        let putting = scope.spawn(|| slow.put(&name, &file));
        kill(transfer_of(file.to_str().unwrap()).0);
        assert_eq!(putting.join().unwrap().unwrap(), Stored::Sent);
    });
    let copy = server.place.path().join("copy");
    store.get(&name, &copy).unwrap();
}

#[test]
fn a_server_that_is_away_for_a_while_is_waited_for() {
    let Some(mut server) = S3Server::start() else {
        return;
    };
    let (file, name) = server.file("small", b"weights");
    let store = server.store("weights");
    server.do_it("stop");
    let error = store
        .clone()
        .with_patience(one_try())
        .put(&name, &file)
        .unwrap_err();
    let error = error.to_string();
    assert!(error.contains("connection refused"), "{error}");
    let begun = Instant::now();
    thread::scope(|scope| {
        let putting = scope.spawn(|| store.put(&name, &file));
        thread::sleep(Duration::from_secs(2));
        server.do_it("start");
        assert_eq!(putting.join().unwrap().unwrap(), Stored::Sent);
    });
    assert!(begun.elapsed() >= Duration::from_secs(2));
    assert!(store.has(&name).unwrap());
}

#[test]
fn wrong_keys_and_a_bucket_that_is_not_there_are_said_at_once() {
    let Some(server) = S3Server::start() else {
        return;
    };
    let (file, name) = server.file("small", b"weights");
    let place = format!("{BUCKET}/weights");
    let key = server.said("access_key");
    let cases = [
        (
            server.address_with(&place, (key, "hunter"), ""),
            "SignatureDoesNotMatch",
        ),
        (
            server.address_with(&place, ("nobody", "hunter"), ""),
            "InvalidAccessKeyId",
        ),
        (server.address("lehr-absent/weights", ""), "NoSuchBucket"),
    ];
    for (address, words) in cases {
        let begun = Instant::now();
        let error = Store::open(&address.parse().unwrap())
            .unwrap()
            .put(&name, &file)
            .unwrap_err();
        assert!(matches!(error, StoreError::Refused { .. }), "{error}");
        let error = error.to_string();
        assert!(
            error.contains(words) && error.contains("`credentials`"),
            "{error}"
        );
        assert!(!error.contains("hunter"), "{error}");
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "no try was worth another"
        );
    }
}

#[test]
fn damage_in_the_store_is_noticed_by_a_node_and_never_used() {
    let Some(mut server) = S3Server::start() else {
        return;
    };
    let store = server.store("weights").with_patience(one_try());
    let node = |name: &str| NodeCache::at(&server.place.path().join(name), 1 << 30).unwrap();
    let (first, second) = (node("first"), node("second"));
    let bytes = drawn(100_000, 3);
    let digest = Digest::of(&bytes);
    let name = ObjectName::weights(&digest);
    fs::write(first.weights().join(name.to_string()), &bytes).unwrap();
    let own = NodeWeights::Cached(first, store.clone());
    own.publish(&digest).unwrap();
    let other = NodeWeights::Cached(second, store.clone());
    server.do_it(&format!("damage weights/{name}"));
    let error = other.provide(&digest).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert_eq!(fs::read_dir(other.directory()).unwrap().count(), 0);
    server.do_it(&format!("truncate weights/{name}"));
    assert!(other.provide(&digest).is_err());
    // Who still has the weights mends what was cut.
    own.publish(&digest).unwrap();
    let _in_use = other.provide(&digest).unwrap();
    let copy = other.directory().join(name.to_string());
    assert!(fs::read(copy).unwrap() == bytes);
}

#[test]
fn a_remote_of_rclones_own_configuration_is_a_store() {
    if python().is_none() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let (shared, config) = (
        place.path().join("shared"),
        place.path().join("rclone.conf"),
    );
    fs::create_dir(&shared).unwrap();
    fs::write(
        &config,
        format!("[ours]\ntype = alias\nremote = {}\n", shared.display()),
    )
    .unwrap();
    let address = format!("rclone:ours:a/b?config={}", config.display());
    let store = Store::open(&address.parse().unwrap())
        .unwrap()
        .with_patience(one_try());
    let file = place.path().join("file");
    fs::write(&file, b"weights").unwrap();
    // As old as can be: what is sent is young all the same.
    fs::File::open(&file)
        .unwrap()
        .set_modified(SystemTime::UNIX_EPOCH)
        .unwrap();
    let name = ObjectName::weights(&Digest::of(b"weights"));
    assert!(store.list().unwrap().is_empty());
    assert_eq!(store.put(&name, &file).unwrap(), Stored::Sent);
    assert_eq!(store.put(&name, &file).unwrap(), Stored::There);
    let listed = store.list().unwrap();
    assert!(
        listed.len() == 1 && listed[0].age_seconds < 600.0,
        "{listed:?}"
    );
    // Such a remote may show half of what a killed upload has sent; nobody takes it, and it is mended.
    fs::write(shared.join("a/b").join(name.to_string()), b"wei").unwrap();
    let copy = place.path().join("copy");
    let error = store.get(&name, &copy).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert_eq!(store.put(&name, &file).unwrap(), Stored::Sent);
    assert_eq!(store.get(&name, &copy).unwrap(), 7);
    store.remove(&[name.to_string()]).unwrap();
    assert!(!store.has(&name).unwrap());
    let unknown = format!("rclone:theirs:a?config={}", config.display());
    let store = Store::open(&unknown.parse().unwrap()).unwrap();
    let error = store.put(&name, &file).unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error}");
}

/// Not a test of its own: the process that the next one kills.
#[test]
fn a_node_fetches_data_until_it_is_killed() {
    let Ok(told) = env::var(VICTIM) else { return };
    let mut lines = told.lines();
    let mut next = || lines.next().unwrap();
    let store = Store::open(&next().parse().unwrap()).unwrap();
    let manifest = Digest::from_hex(next()).unwrap();
    let cache = NodeCache::at(Path::new(next()), 1 << 30).unwrap();
    fetch(&store, &manifest, &cache).unwrap();
}

#[test]
fn a_node_that_is_killed_while_it_fetches_data_goes_on_with_the_next_piece() {
    let Some(server) = S3Server::start() else {
        return;
    };
    const PIECE: u64 = 1 << 20;
    let own = server.place.path().join("prepared");
    fs::create_dir(&own).unwrap();
    let rows = drawn(6 * PIECE as usize + 17, 11);
    fs::write(own.join("train.safetensors"), &rows).unwrap();
    let store = server.store("data");
    let manifest = publish(&store, &own, &["train.safetensors"], PIECE).unwrap();
    let node = server.place.path().join("node");
    let slow = server.address(&format!("{BUCKET}/data"), "RCLONE_BWLIMIT=2M");
    let mut victim = Command::new(env::current_exe().unwrap())
        .args(["--exact", "a_node_fetches_data_until_it_is_killed"])
        .env(VICTIM, format!("{slow}\n{manifest}\n{}", node.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let part = node.join("data").join(format!("{manifest}.part"));
    let file = part.join("train.safetensors");
    let length = || fs::metadata(&file).map_or(0, |metadata| metadata.len());
    let until = Instant::now() + Duration::from_secs(20);
    while length() < 2 * PIECE && Instant::now() < until {
        thread::sleep(Duration::from_millis(5));
    }
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert!((2 * PIECE..6 * PIECE).contains(&length()), "{}", length());
    // What it has brought is not asked for again: it is not in the store any more.
    let first = ObjectName::new(&Digest::of(&rows[..PIECE as usize]), Kind::Chunk);
    store.remove(&[first.to_string()]).unwrap();
    let cache = NodeCache::at(&node, 1 << 30).unwrap();
    let set = fetch(&store, &manifest, &cache).unwrap();
    assert!(fs::read(set.path("train.safetensors")).unwrap() == rows);
    assert!(!part.exists());
}
