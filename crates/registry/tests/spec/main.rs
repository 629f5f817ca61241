//! The OCI distribution specification 1.1.1 against a registry that listens: every MUST and SHOULD that binds a registry has
//! a test that is named after it. Acts.
//!
//! What binds clients alone is not here. In the order of the specification:
//!
//! | section | clause | test |
//! | --- | --- | --- |
//! | Requirements | all APIs of Pull MUST, of the other categories SHOULD be supported; all of a claimed category MUST | `api::every_endpoint_of_every_category_is_there` |
//! | Pulling manifests | a reference MUST be a digest or a tag | `pull::a_reference_is_a_digest_or_a_tag` |
//! | | it MUST NOT be in any other format | `pull::a_reference_has_no_other_form` |
//! | | a name MUST match the expression | `pull::a_name_matches_the_expression` |
//! | | a tag MUST have at most 128 characters and MUST match the expression | `pull::a_tag_has_at_most_128_characters_and_matches_the_expression` |
//! | | Content-Type SHOULD NOT have parameters and SHOULD be what was pushed | `pull::the_content_type_of_a_manifest_has_no_parameters_and_is_what_was_pushed` |
//! | | GET MUST give the manifest with 200, SHOULD with its digest | `pull::a_manifest_that_is_there_is_given_with_200_and_its_digest`, `pull::the_digest_header_is_of_the_algorithm_that_was_pushed`, `pull::a_manifest_is_also_had_as_the_json_that_it_is` |
//! | | what is not found MUST be 404 | `pull::a_manifest_that_is_not_there_is_404` |
//! | Pulling blobs | GET MUST give the blob with 200, SHOULD with its digest, which MUST match | `pull::a_blob_that_is_there_is_given_with_200_and_a_digest_that_matches_it` |
//! | | what is not found MUST be 404 | `pull::a_blob_that_is_not_in_the_repository_is_404` |
//! | | Range SHOULD be supported | `pull::ranges_of_blobs_are_given_as_http_has_them` |
//! | Checking if content exists | HEAD MUST be 200, SHOULD have digest and size | `pull::head_of_what_is_there_is_200_with_digest_and_size` |
//! | | what is not found MUST be 404 | `pull::head_of_what_is_not_there_is_404` |
//! | Push | a subject that is not there MUST be accepted | `manifests::a_manifest_whose_subject_is_not_there_is_taken` |
//! | | other parts that are missing MUST be MANIFEST_BLOB_UNKNOWN | `manifests::a_manifest_that_names_what_is_not_there_gets_manifest_blob_unknown` |
//! | POST then PUT | 202 MUST come with a Location that MUST contain a UUID | `push::post_gives_202_and_a_location_with_a_uuid_of_its_own` |
//! | | PUT MUST be 201 with a Location | `push::put_to_the_location_gives_201_and_a_location_that_can_be_pulled` |
//! | Single POST | it MUST be 201 and MUST have a Location | `push::a_single_post_gives_201_and_a_location_that_can_be_pulled` |
//! | | Content-Length MUST match | `push::the_content_length_of_a_single_post_matches_the_blob` |
//! | | the digest MUST match | `push::the_digest_of_a_single_post_matches_the_blob` |
//! | In chunks | a smallest length of chunks SHOULD be said: there is none | `chunks::there_is_no_smallest_chunk` |
//! | | a range MUST include both ends | `chunks::a_range_includes_both_its_ends` |
//! | | the first range MUST begin with 0 | `chunks::the_first_chunk_begins_with_0` |
//! | | a range MUST match the expression | `chunks::a_range_is_two_numbers_with_a_hyphen` |
//! | | each chunk MUST be 202 with Location and Range | `chunks::each_chunk_gives_202_location_and_range` |
//! | | chunks MUST be in order; others MUST be 416 | `chunks::a_chunk_out_of_order_is_416_and_the_session_goes_on` |
//! | | the last one MAY come by PATCH or PUT | `chunks::the_last_chunk_comes_by_patch_or_by_put` |
//! | | a session MUST be closed by PUT, which MUST be 201 with a Location | `chunks::a_session_is_closed_by_put_and_by_nothing_else` |
//! | | PUT MUST have the digest of the whole | `chunks::the_closing_put_names_the_digest_of_the_whole` |
//! | | the standing MUST be 204 with Location and Range | `chunks::the_standing_of_a_session_is_204_with_location_and_range` |
//! | Mounting | a mount MUST be 201 with a Location | `push::a_mount_gives_201_and_a_location_that_can_be_pulled` |
//! | | `from` MAY be optional | `push::a_mount_without_from_finds_the_blob` |
//! | | what cannot be mounted SHOULD be 202 | `push::a_mount_that_cannot_be_is_a_session` |
//! | Pushing Manifests | parameters of Content-Type SHOULD be ignored | `manifests::parameters_of_the_content_type_are_ignored` |
//! | | Content-Type MUST be the manifest's mediaType | `manifests::the_content_type_is_the_media_type_of_the_manifest` |
//! | | the reference MUST be a digest or a tag | `manifests::a_manifest_is_put_by_tag_or_by_its_digest`, `pull::a_reference_has_no_other_form` |
//! | | the blobs MAY be none | `manifests::the_list_of_blobs_may_be_empty` |
//! | | the bytes MUST be kept exactly | `manifests::a_manifest_is_kept_byte_for_byte` |
//! | | a push MUST be 201 and MUST have a Location | `manifests::a_push_gives_201_and_a_location_that_can_be_pulled` |
//! | | the digest MUST be the one that was given | `manifests::the_digest_header_is_the_digest_that_was_given` |
//! | | a pull from a repository that is not there MUST be 404 | `manifests::a_pull_from_a_repository_that_is_not_there_is_404` |
//! | | a largest size SHOULD be enforced, SHOULD be 413 | `manifests::a_manifest_has_a_largest_size_beyond_which_it_is_413` |
//! | | 4 megabytes SHOULD be supported | `manifests::a_manifest_of_4_megabytes_is_taken` |
//! | With Subject | OCI-Subject MUST be answered | `manifests::a_manifest_with_a_subject_is_answered_with_oci_subject` |
//! | Listing Tags | a repository MUST be 200, a body MUST have the format | `tags::a_repository_that_is_there_is_200_in_the_format` |
//! | | the list MAY be empty | `tags::a_repository_without_tags_has_an_empty_list` |
//! | | tags MUST be in lexical order, without case | `tags::tags_are_in_lexical_order_without_regard_to_case` |
//! | | `n` results MUST be there, or a Link, which MUST be as RFC 5988 has it | `tags::n_tags_are_given_and_a_link_when_there_are_more`, `tags::the_links_lead_through_all_tags_once` |
//! | | `n=0` MUST be empty and MUST NOT have a Link | `tags::n_of_zero_is_an_empty_list_without_a_link` |
//! | | `last` MUST be a tag and MUST NOT be an index | `tags::last_is_a_tag_and_no_number` |
//! | | after `last`, order MUST hold | `tags::last_is_not_included_and_what_follows_is_in_order` |
//! | | with `last`, `n` is OPTIONAL | `tags::last_needs_no_n` |
//! | Listing Referrers | it MUST be 200, MUST NOT be 404, none MUST be an empty list | `referrers::a_list_is_200_and_never_404` |
//! | | an invalid request MUST be 400 | `referrers::an_invalid_digest_is_400` |
//! | | it MUST be an index, of the Content-Type of one | `referrers::descriptors_are_of_manifests_with_this_subject_in_this_repository` |
//! | | artifactType MUST be the manifest's, or its config's, or omitted | `referrers::the_artifact_type_is_that_of_the_manifest_or_of_its_config_or_left_out` |
//! | | annotations MUST be included | `referrers::descriptors_have_the_annotations_of_manifests_and_indexes` |
//! | | a Link MUST be there when it is too long, as RFC 5988 has it | `referrers::a_long_list_comes_in_pages_of_different_descriptors` |
//! | | artifactType SHOULD be a filter, OCI-Filters-Applied MUST say so | `referrers::a_list_is_filtered_by_artifact_type_and_says_so` |
//! | Deleting tags | it MUST be 202 | `management::a_tag_is_deleted_with_202_and_is_404_then` |
//! | Deleting Manifests | it MUST be 202 | `management::a_manifest_is_deleted_with_202_and_is_404_then_with_its_tags` |
//! | | without the repository it MUST be 404 | `management::a_deletion_in_a_repository_that_is_not_there_is_404` |
//! | Deleting Blobs | it MUST be 202 | `management::a_blob_is_deleted_with_202_and_is_404_then` |
//! | | what is not found MUST be 404 | `management::deleting_a_blob_that_is_not_there_is_404` |
//! | | where deletion is disabled it MUST be 400 or 405: it cannot be disabled, only forbidden (`errors::who_may_not_is_told_so`) | |
//! | Enabling the Referrers API | manifests by the tag schema MUST be included | `referrers::manifests_in_an_index_by_the_tag_schema_are_in_the_list` |
//! | | newly pushed ones MUST be included | `referrers::every_manifest_with_a_subject_that_is_pushed_is_in_the_list` |
//! | Determining Support | `/v2/` is 200 | `api::v2_is_200` |
//! | Error Codes | JSON MUST have the format; a code MUST be of capitals and underscores and MUST be one of the table | `errors::each_failure_has_its_code_in_the_shape`, `errors::who_may_not_is_told_so`, and every refusal in these tests |
//! | Warnings | they MUST have 299 and `-`, MUST NOT have a date, MUST NOT be longer than 4096 bytes | `warnings::warnings_have_code_299_agent_and_no_date_and_are_short` |
#![cfg(test)]

mod api;
mod chunks;
mod errors;
mod listening;
mod management;
mod manifests;
mod pull;
mod push;
mod referrers;
mod tags;
mod warnings;
mod wire;
