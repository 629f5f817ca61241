//! Tables for `--format`.
use super::*;
use serde_json::json;

fn one(template: &str, expected: &str) {
    let value = json!({
        "Name": "/web", "State": {"Running": true, "ExitCode": 0, "Pid": 12},
        "Config": {"Env": ["A=1", "B=2"], "Labels": {"z": "1", "a.b": "c"}, "Cmd": null},
        "Size": 1_099_511_627_776_u64, "Ratio": 1.5, "Id": "sha256:0123456789ab",
        "Mounts": [{"Source": "/a"}, {"Source": "/b"}],
    });
    match compile(template).and_then(|template| render(&template, &value)) {
        Ok(text) => assert_eq!(text, expected, "{template}"),
        Err(error) => panic!("{template}: {error}"),
    }
}

#[test]
fn templates_that_scripts_use() {
    for (template, expected) in [
        ("{{.Name}}", "/web"),
        ("{{.State.Running}} {{.State.Pid}} {{.Size}} {{.Ratio}}", "true 12 1099511627776 1.5"),
        ("{{json .State}}", r#"{"ExitCode":0,"Pid":12,"Running":true}"#),
        ("{{json .Config.Labels}}", r#"{"a.b":"c","z":"1"}"#),
        ("{{json .Config.Cmd}}", "null"),
        ("{{index .Config.Labels \"a.b\"}}", "c"),
        ("{{index .Config.Env 1}}", "B=2"),
        ("{{range .Mounts}}{{.Source}} {{end}}", "/a /b "),
        ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}", "a.b=c;z=1;"),
        ("{{.Config.Env}}", "[A=1 B=2]"),
        ("{{.Config.Labels}}", "map[a.b:c z:1]"),
        ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
        ("{{join .Config.Env \",\"}}", "A=1,B=2"),
        ("{{upper .Name}} {{lower \"ABC\"}} {{title \"two words\"}}", "/WEB abc Two Words"),
        ("{{pad .Name 1 2}}|", " /web  |"),
        ("{{truncate .Id 8}}", "sha256:0"),
        ("{{index (split .Name \"/\") 1}}", "web"),
        ("{{println .Name .State.Pid}}", "/web 12\n"),
        ("{{len .Mounts}}", "2"),
        ("{{printf \"%.3s\" .Name}}", "/we"),
        ("{{printf \"%q\" .Name}}", "\"/web\""),
        ("{{.Config.Cmd}}", "<no value>"),
        ("{{eq .State.ExitCode 0}}", "true"),
        ("{{with .State}}{{.Pid}}{{end}}", "12"),
    ] {
        one(template, expected);
    }
}

#[test]
fn bad_templates_are_refused() {
    for template in ["{{.Name", "{{nothing .Name}}", "{{end}}"] {
        let error = compile(template).map(|_| ()).unwrap_err();
        assert!(error.message.starts_with("template parsing error:"), "{}", error.message);
    }
    let value = json!({"A": "x"});
    assert!(render(&compile("{{pad .A \"x\" 1}}").unwrap(), &value).is_err());
}

fn rows() -> Vec<Row> {
    [("1", "web"), ("22", "a much longer name")]
        .into_iter()
        .map(|(id, name)| {
            let mut row = Row::new();
            row.insert("ID".to_owned(), id.into());
            row.insert("Names".to_owned(), name.into());
            row.insert(LABELS.to_owned(), json!({"a.b": id}));
            row
        })
        .collect()
}

fn list(format: Option<&str>, expected: &str) {
    let format = parse_format(format, "{{.ID}}\t{{.Names}}");
    let text = render_list(&format, &[("ID", "CONTAINER ID"), ("Names", "NAMES")], &rows());
    assert_eq!(text.unwrap(), expected);
}

#[test]
fn lists() {
    list(None, "CONTAINER ID   NAMES\n1              web\n22             a much longer name\n");
    list(
        Some("table"),
        "CONTAINER ID   NAMES\n1              web\n22             a much longer name\n",
    );
    list(
        Some("table {{.Names}}\\t{{.ID}}"),
        "NAMES                CONTAINER ID\nweb                  1\na much longer name   22\n",
    );
    list(Some("{{.ID}}={{.Names}}"), "1=web\n22=a much longer name\n");
    list(
        Some("json"),
        "{\"ID\":\"1\",\"Names\":\"web\"}\n{\"ID\":\"22\",\"Names\":\"a much longer name\"}\n",
    );
    list(
        Some("{{json .}}"),
        "{\"ID\":\"1\",\"Names\":\"web\"}\n{\"ID\":\"22\",\"Names\":\"a much longer name\"}\n",
    );
    list(Some("{{.Label \"a.b\"}}/{{.Label \"c\"}}"), "1/\n22/\n");
    list(Some("table {{.Label \"a.b\"}}"), "a.b\n1\n22\n");
    list(Some("table {{truncate .ID 1}}"), "C\n1\n2\n");
    list(Some("table {{json .ID}}"), "CONTAINER ID\n\"1\"\n\"22\"\n");
}
