//! Pure: the way of a path below a root when every link on it is followed; it never leads above the root.

/// Links that one path may lead through.
const MOST_LINKS: usize = 255;

/// A path on its way, name by name.
#[derive(Debug)]
pub(crate) struct Way {
    done: Vec<u8>,
    left: Vec<Vec<u8>>,
    links: usize,
}

impl Way {
    /// The way of a path, from the root on.
    pub(crate) fn of(path: &[u8]) -> Way {
        let mut way = Way { done: Vec::new(), left: Vec::new(), links: 0 };
        way.push(path);
        way
    }

    /// The next name; `..` has led back by then.
    pub(crate) fn advance(&mut self) -> Option<Vec<u8>> {
        loop {
            let part = self.left.pop()?;
            if part != b".." {
                return Some(part);
            }
            let above = self.done.iter().rposition(|b| *b == b'/').unwrap_or(0);
            self.done.truncate(above);
        }
    }

    /// Where it has led so far; the root is the empty path.
    pub(crate) fn so_far(&self) -> &[u8] {
        &self.done
    }

    /// Whether no name is left.
    pub(crate) fn is_at_end(&self) -> bool {
        self.left.is_empty()
    }

    /// Goes on into what the next name is.
    pub(crate) fn enter(&mut self, name: &[u8]) {
        self.done = joined(&self.done, name);
    }

    /// Goes on where the link leads that the next name is. `false` when there were too many, as where they run in circles.
    #[must_use]
    pub(crate) fn follow(&mut self, target: &[u8]) -> bool {
        self.links += 1;
        if self.links > MOST_LINKS {
            return false;
        }
        if target.first() == Some(&b'/') {
            self.done.clear();
        }
        self.push(target);
        true
    }

    /// Where it has led.
    pub(crate) fn end(self) -> Vec<u8> {
        self.done
    }

    fn push(&mut self, path: &[u8]) {
        self.left.extend(parts(path).rev().map(<[u8]>::to_vec));
    }
}

/// The names of a path, `.` and empty ones left out.
pub(crate) fn parts(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".")
}

/// A name in a directory; the root is the empty path.
pub(crate) fn joined(dir: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = dir.to_vec();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a path leads when the names of `links` are links.
    fn led(path: &str, links: &[(&str, &str)]) -> Option<String> {
        let mut way = Way::of(path.as_bytes());
        while let Some(name) = way.advance() {
            let here = joined(way.so_far(), &name);
            match links.iter().find(|(link, _)| link.as_bytes() == here) {
                Some((_, target)) if !way.follow(target.as_bytes()) => return None,
                Some(_) => {}
                None => way.enter(&name),
            }
        }
        Some(String::from_utf8(way.end()).unwrap())
    }

    #[test]
    fn a_way_stays_below_its_root() {
        let links =
            [("out", "../../etc"), ("d/up", ".."), ("abs", "/d"), ("loop", "loop"), ("d/x", "y/z")];
        for (path, want) in [
            ("/a/./b//c/", Some("a/b/c")),
            ("../a/../../b", Some("b")),
            ("out/passwd", Some("etc/passwd")),
            ("d/up/e", Some("e")),
            ("a/../abs/x/q", Some("d/y/z/q")),
            ("loop", None),
            ("", Some("")),
        ] {
            assert_eq!(led(path, &links).as_deref(), want, "{path}");
        }
    }
}
