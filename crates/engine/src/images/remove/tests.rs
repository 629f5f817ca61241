//! Pure: the rules of removal, as Docker has them.

use super::*;
use naru_oci::{Descriptor, Digest, ImageId, media_type};
use naru_store::ImageRecord;

fn image(names: &[&str]) -> Image {
    let digest = Digest::of(b"manifest");
    let config = Digest::of(b"config");
    Image {
        record: ImageRecord {
            target: Descriptor::new(media_type::OCI_MANIFEST, digest, 8),
            manifest: digest,
            image_id: ImageId(config),
            config,
            chain: None,
            size: 0,
            created: None,
            platform: None,
            parent: None,
            added: 0,
        },
        names: names.iter().map(|name| name.parse::<Reference>().unwrap().or_latest()).collect(),
        tagged: 0,
    }
}

fn user(running: bool) -> ImageUser {
    ImageUser {
        container: "c0ffee".repeat(10),
        image: image(&[]).id(),
        name: "x".to_owned(),
        running,
    }
}

#[derive(Clone, Copy)]
enum Given {
    Name(&'static str),
    Id,
}

/// Names that go, and whether the image goes; or a part of the refusal.
fn check(
    names: &[&str],
    given: Given,
    force: bool,
    users: &[ImageUser],
    expected: Result<(&[&str], bool), &str>,
) {
    let image = image(names);
    let text = match given {
        Given::Name(name) => name.to_owned(),
        Given::Id => image.id().0.short(),
    };
    let found = plan(&image, &text, RemoveImageOptions { force }, users, 0);
    match (found, expected) {
        (Ok(removal), Ok((gone, whole))) => {
            let shown: Vec<String> = removal.names.iter().map(Reference::familiar).collect();
            assert_eq!(
                (shown, removal.image),
                (gone.iter().map(|name| (*name).to_owned()).collect(), whole),
                "{names:?} {text}"
            );
        }
        (Err(error), Err(part)) => assert!(error.message().contains(part), "{}", error.message()),
        (found, expected) => panic!("{names:?} {text} {force}: {found:?} instead of {expected:?}"),
    }
}

#[test]
fn a_name_goes_first_and_the_image_with_its_last_name() {
    check(&["a:1"], Given::Name("a:1"), false, &[], Ok((&["a:1"], true)));
    check(&["a"], Given::Name("a"), false, &[], Ok((&["a:latest"], true)));
    check(&["a:1", "b:1"], Given::Name("a:1"), false, &[], Ok((&["a:1"], false)));
}

#[test]
fn an_id_means_all_names_when_they_are_one() {
    check(&["a:1"], Given::Id, false, &[], Ok((&["a:1"], true)));
    check(&[], Given::Id, false, &[], Ok((&[], true)));
    check(
        &["a:1", "b:1"],
        Given::Id,
        false,
        &[],
        Err("(must be forced) - image is referenced in multiple repositories"),
    );
    check(&["a:1", "b:1"], Given::Id, true, &[], Ok((&["a:1", "b:1"], true)));
}

#[test]
fn what_a_container_uses_stays() {
    let (running, stopped) = ([user(true)], [user(false)]);
    check(
        &["a:1"],
        Given::Id,
        true,
        &running,
        Err("(cannot be forced) - image is being used by running container c0ffeec0ffee"),
    );
    check(
        &["a:1"],
        Given::Id,
        false,
        &stopped,
        Err("(must be forced) - image is being used by stopped container c0ffeec0ffee"),
    );
    check(&["a:1"], Given::Id, true, &stopped, Ok((&["a:1"], true)));
    check(
        &["a:1"],
        Given::Name("a:1"),
        false,
        &stopped,
        Err(
            "unable to remove repository reference \"a:1\" (must force) - container c0ffeec0ffee is using its referenced image",
        ),
    );
    check(&["a:1"], Given::Name("a:1"), true, &stopped, Ok((&["a:1"], true)));
    check(&["a:1"], Given::Name("a:1"), true, &running, Ok((&["a:1"], false)));
    check(&["a:1", "b:1"], Given::Name("a:1"), false, &running, Ok((&["a:1"], false)));
}

#[test]
fn names_by_digest_go_with_the_last_tag_of_their_repository() {
    let digest = format!("a@{}", Digest::of(b"manifest"));
    check(&["a:1", &digest], Given::Name("a:1"), false, &[], Ok((&["a:1", &digest], true)));
    check(&["a:1", "a:2", &digest], Given::Name("a:1"), false, &[], Ok((&["a:1"], false)));
    check(&["a:1", &digest], Given::Id, false, &[], Ok((&["a:1", &digest], true)));
}

#[test]
fn an_image_that_others_are_built_on_stays() {
    let found = plan(
        &image(&["a:1"]),
        &image(&[]).id().0.short(),
        RemoveImageOptions { force: true },
        &[],
        1,
    );
    assert!(
        found
            .unwrap_err()
            .message()
            .contains("(cannot be forced) - image has dependent child images")
    );
}
