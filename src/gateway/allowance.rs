//! How much memory bodies may take where the configuration does not say: a quarter of what Linux lets this process use.

use std::io;
use std::path::Path;

/// Bodies take no more memory than this unless the file says so.
const BUFFERED_BYTES_MAX: u64 = 256 << 20;
/// Where Linux says which control groups this process is in, and where those say how much memory it may use: in version 2
/// and in version 1. A container sees its own group as the root; a systemd unit has one further down.
const CGROUPS_FILE: &str = "/proc/self/cgroup";
const CGROUP_LIMITS: [(&str, &str); 2] = [
    ("/sys/fs/cgroup", "memory.max"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
];
const MEMINFO_FILE: &str = "/proc/meminfo";

/// A quarter of what this process may use, at most 256 MB.
pub fn quarter_of_memory(read: &dyn Fn(&Path) -> io::Result<Vec<u8>>) -> u64 {
    let text = |file: &Path| String::from_utf8(read(file).unwrap_or_default()).unwrap_or_default();
    // Lines of "number:controllers:path", without controllers in version 2 (cgroups(7)). The least limit on the way holds.
    let own = text(Path::new(CGROUPS_FILE));
    let mut limits = Vec::new();
    for (version, (root, file)) in CGROUP_LIMITS.into_iter().enumerate() {
        let path = own.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            let fits = match version {
                0 => controllers.is_empty(),
                _ => controllers.split(',').any(|name| name == "memory"),
            };
            fits.then_some(path)
        });
        for group in Path::new(path.unwrap_or("/")).ancestors() {
            let group = group.strip_prefix("/").unwrap_or(group);
            let limit = text(&Path::new(root).join(group).join(file));
            limits.extend(limit.trim().parse::<u64>());
        }
    }
    let whole = text(Path::new(MEMINFO_FILE)).lines().find_map(|line| {
        let kibibytes = line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?;
        kibibytes.trim().parse::<u64>().ok()?.checked_mul(1024)
    });
    let memory = limits.into_iter().chain(whole).min();
    memory.map_or(BUFFERED_BYTES_MAX, |bytes| {
        (bytes / 4).min(BUFFERED_BYTES_MAX)
    })
}
