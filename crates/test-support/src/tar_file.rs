//! Pure: archives in memory, written by hand so that they may be as odd as a test wants.

/// One entry of an archive, before it becomes bytes.
#[derive(Debug, Clone)]
pub struct Item {
    name: Vec<u8>,
    flag: u8,
    target: Vec<u8>,
    mode: u64,
    owner: (u64, u64),
    mtime: u64,
    device: (u32, u32),
    data: Vec<u8>,
    size: Option<Vec<u8>>,
    pax: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Item {
    /// An entry of any type.
    pub fn new(flag: u8, name: impl AsRef<[u8]>) -> Item {
        Item {
            name: name.as_ref().to_vec(),
            flag,
            target: Vec::new(),
            mode: 0o644,
            owner: (0, 0),
            mtime: 1_600_000_000,
            device: (0, 0),
            data: Vec::new(),
            size: None,
            pax: Vec::new(),
        }
    }

    /// A regular file.
    pub fn file(name: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Item {
        Item { data: data.as_ref().to_vec(), ..Item::new(b'0', name) }
    }

    /// A directory.
    pub fn dir(name: impl AsRef<[u8]>) -> Item {
        Item::new(b'5', name).mode(0o755)
    }

    /// A symbolic link.
    pub fn link(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Item {
        Item { target: target.as_ref().to_vec(), ..Item::new(b'2', name).mode(0o777) }
    }

    /// A hard link.
    pub fn hard_link(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Item {
        Item { target: target.as_ref().to_vec(), ..Item::new(b'1', name) }
    }

    /// A character device.
    pub fn char_device(name: impl AsRef<[u8]>, major: u32, minor: u32) -> Item {
        Item { device: (major, minor), ..Item::new(b'3', name) }
    }

    /// The same with these permissions.
    #[must_use]
    pub fn mode(mut self, mode: u64) -> Item {
        self.mode = mode;
        self
    }

    /// The same with this owner and group.
    #[must_use]
    pub fn owner(mut self, uid: u64, gid: u64) -> Item {
        self.owner = (uid, gid);
        self
    }

    /// The same, last changed then.
    #[must_use]
    pub fn mtime(mut self, seconds: u64) -> Item {
        self.mtime = seconds;
        self
    }

    /// The same with a PAX record in front.
    #[must_use]
    pub fn pax(mut self, key: &str, value: impl AsRef<[u8]>) -> Item {
        self.pax.push((key.as_bytes().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// The same with these bytes in the size field, whatever the data is.
    #[must_use]
    pub fn claimed_size(mut self, field: impl AsRef<[u8]>) -> Item {
        self.size = Some(field.as_ref().to_vec());
        self
    }
}

/// An archive in memory.
#[derive(Debug, Clone, Default)]
pub struct TarFile {
    bytes: Vec<u8>,
}

impl TarFile {
    /// An archive of these entries, without its end mark.
    pub fn of(items: impl IntoIterator<Item = Item>) -> TarFile {
        let mut file = TarFile::default();
        for item in items {
            file.add(&item);
        }
        file
    }

    /// Adds an entry.
    pub fn add(&mut self, item: &Item) {
        if !item.pax.is_empty() {
            let mut records = Vec::new();
            for (key, value) in &item.pax {
                records.extend(record(key, value));
            }
            let header = Item { data: records, ..Item::new(b'x', b"PaxHeaders/x") };
            self.add_plain(&header);
        }
        self.add_plain(item);
    }

    /// Adds bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The archive with its end mark.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.extend([0; 1024]);
        self.bytes
    }

    /// The archive without its end mark.
    pub fn unfinished(self) -> Vec<u8> {
        self.bytes
    }

    fn add_plain(&mut self, item: &Item) {
        let mut block = vec![0u8; 512];
        let mut put = |at: usize, bytes: &[u8]| {
            for (place, byte) in block.iter_mut().skip(at).zip(bytes) {
                *place = *byte;
            }
        };
        put(0, item.name.get(..100).unwrap_or(&item.name));
        put(100, format!("{:07o}", item.mode).as_bytes());
        put(108, format!("{:07o}", item.owner.0).as_bytes());
        put(116, format!("{:07o}", item.owner.1).as_bytes());
        let size = format!("{:011o}", item.data.len()).into_bytes();
        put(124, item.size.as_ref().unwrap_or(&size));
        put(136, format!("{:011o}", item.mtime).as_bytes());
        put(148, b"        ");
        put(156, &[item.flag]);
        put(157, &item.target);
        put(257, b"ustar\x0000");
        put(329, format!("{:07o}", item.device.0).as_bytes());
        put(337, format!("{:07o}", item.device.1).as_bytes());
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        for (place, byte) in block.iter_mut().skip(148).zip(format!("{sum:06o}\0 ").as_bytes()) {
            *place = *byte;
        }
        self.bytes.extend(block);
        self.bytes.extend(&item.data);
        let padded = self.bytes.len().next_multiple_of(512);
        self.bytes.resize(padded, 0);
    }
}

fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + rest.to_string().len();
    if length.to_string().len() != rest.to_string().len() {
        length = rest + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}
