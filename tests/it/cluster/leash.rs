//! Ends a server with the value that started it, or with the test's process, however that ends.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Reads the server's pid, and 0 once it is gone, from its input; at the end of that the test is
/// over, one way or the other. The folder is $1.
const WATCHDOG: &str = r#"
    pid=0
    while read -r line; do pid=$line; done
    if [ "$pid" -gt 0 ]; then
        kill -9 $(cat "/proc/$pid/task/$pid/children" 2>/dev/null) "$pid" 2>/dev/null
    fi
    for _ in 1 2 3 4 5; do rm -rf "$1" && break; sleep 0.2; done
"#;

/// While it is held, the server lives, and its folder stays.
pub(super) struct Leash {
    watchdog: Child,
    /// The watchdog's input.
    input: Option<ChildStdin>,
}

// === impl Leash ===

impl Leash {
    pub(super) fn new(folder: &Path) -> Self {
        let mut watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Whoever kills the test's process group must not kill the watchdog.
            .process_group(0)
            .spawn()
            .unwrap();
        let input = watchdog.stdin.take();
        Self { watchdog, input }
    }

    /// This is the server's process now; 0 if it has none.
    pub(super) fn watch(&mut self, pid: u32) {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{pid}").unwrap();
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        // The watchdog's work is the same, whether the test ended or was killed.
        drop(self.input.take());
        let _ = self.watchdog.wait();
    }
}
