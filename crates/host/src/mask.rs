//! Secrets in command lines: values of options, variables and headers whose names say so, passwords in
//! URLs, and texts that have the form of a well-known token.
//!
//! It prefers to mask too much. What it can't know is a secret without a telling name or form.

mod scan;

use std::ops::Range;
use std::sync::LazyLock;

use regex_lite::Regex;

/// What stands in place of a secret.
pub const MASK: &str = "***";

/// What names of secrets contain, in small letters and without `-`, `_` and `.`.
pub const NAMES: [&str; 10] = [
    "password",
    "passwd",
    "passphrase",
    "passwort",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
];

/// What is a secret's name only as a word of its own: `--key`, `SSH_KEY`, but not `--keyspace`.
pub const WORDS: [&str; 9] =
    ["key", "pass", "pwd", "pw", "auth", "authorization", "cookie", "bearer", "signature"];

/// Options of single programs, whose names say nothing: program, option, and whether the value is
/// `user:password`.
const OPTIONS: [(&str, &str, bool); 12] = [
    ("curl", "-u", true),
    ("curl", "--user", true),
    ("curl", "-U", true),
    ("curl", "--proxy-user", true),
    ("mysql", "-p", false),
    ("mysqldump", "-p", false),
    ("mysqladmin", "-p", false),
    ("mariadb", "-p", false),
    ("sshpass", "-p", false),
    ("redis-cli", "-a", false),
    ("docker", "-p", false),
    ("ldapsearch", "-w", false),
];

/// Of these a password follows only without a space.
const ATTACHED: [&str; 4] = ["mysql", "mysqldump", "mysqladmin", "mariadb"];

/// Compiles a pattern of this file.
fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|e| unreachable!("{pattern}: {e}"))
}

/// Tokens that are known by their form: of GitHub, GitLab, Slack, Stripe; JWTs; keys.
static FORMS: LazyLock<Regex> = LazyLock::new(|| {
    compiled(concat!(
        r"gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,}",
        r"|[sr]k_(?:live|test)_\w{10,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*",
        r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*",
    ))
});

/// Masks secrets in arguments.
#[derive(Debug)]
pub struct Masker {
    /// Without any, nothing is masked.
    on: bool,
    names: Vec<String>,
    patterns: Vec<Regex>,
}

/// A pattern that is none.
#[derive(Debug, thiserror::Error)]
#[error("pattern {pattern:?}: {why}")]
pub struct BadPattern {
    /// What was given.
    pattern: String,
    /// What is wrong with it.
    why: String,
}

/// What each of [`FORMS`] contains.
const STARTS: [&str; 12] = [
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xox",
    "eyJ",
    "-----BEGIN",
    "k_live_",
    "k_test_",
];

impl Masker {
    /// With the names and forms that are known, these names in addition, and what these regular
    /// expressions match.
    ///
    /// # Errors
    /// [`BadPattern`].
    pub fn new(names: &[String], patterns: &[String]) -> Result<Self, BadPattern> {
        let compile = |pattern: &String| {
            Regex::new(pattern)
                .map_err(|e| BadPattern { pattern: pattern.clone(), why: e.to_string() })
        };
        let known = NAMES.iter().map(|name| (*name).to_owned());
        Ok(Self {
            on: true,
            names: known.chain(names.iter().map(|name| plain(name))).collect(),
            patterns: patterns.iter().map(compile).collect::<Result<_, _>>()?,
        })
    }

    /// One that masks nothing.
    pub fn off() -> Self {
        Self { on: false, names: Vec::new(), patterns: Vec::new() }
    }

    /// The arguments without secrets.
    pub fn argv(&self, argv: &[String]) -> Vec<String> {
        if !self.on {
            return argv.to_vec();
        }
        let program = argv.first().map_or("", |first| first.rsplit('/').next().unwrap_or(""));
        let mut before: Option<&str> = None;
        let mut out = Vec::with_capacity(argv.len());
        for (i, argument) in argv.iter().enumerate() {
            let by_option = before.and_then(|option| self.value_of(program, option, argument));
            let masked = by_option
                .or_else(|| attached(program, argument).filter(|_| i > 0))
                .unwrap_or_else(|| self.text(argument));
            out.push(masked);
            before = (i > 0 && argument.starts_with('-')).then_some(argument);
        }
        out
    }

    /// A value that stands behind an option of its own, if that says it is secret.
    fn value_of(&self, program: &str, option: &str, value: &str) -> Option<String> {
        if option.contains('=') || value.is_empty() {
            return None;
        }
        let known = OPTIONS.iter().find(|(of, name, _)| *of == program && *name == option);
        match known {
            Some((of, _, _)) if ATTACHED.contains(of) => None,
            Some((_, _, true)) => {
                let (user, _) = value.split_once(':')?;
                Some(format!("{user}:{MASK}"))
            }
            Some(_) => Some(MASK.to_owned()),
            None if value.starts_with('-') || !self.is_secret(option) => None,
            None => Some(MASK.to_owned()),
        }
    }

    /// Whether a name is that of a secret.
    fn is_secret(&self, name: &str) -> bool {
        let joined = plain(name);
        self.names.iter().any(|secret| joined.contains(secret.as_str()))
            || words(name).iter().any(|word| WORDS.contains(&word.as_str()))
    }

    /// One argument, which may be a whole script.
    fn text(&self, argument: &str) -> String {
        // All behind the sign belongs to the value, spaces too.
        if let Some((name, value)) = argument.split_once('=')
            && !value.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && self.is_secret(name)
        {
            return format!("{name}={MASK}");
        }
        let mut out = argument.to_owned();
        if self.may_name_secret(argument) {
            out = replaced(&out, &scan::assigned(&out, |name| self.is_secret(name)));
            out = replaced(&out, &scan::options(&out, |name| self.is_secret(name)));
        }
        if argument.contains('@') {
            out = replaced(&out, &scan::passwords_of_urls(&out));
            out = replaced(&out, &scan::passwords_of_sources(&out));
        }
        if STARTS.iter().any(|start| argument.contains(start)) {
            out = FORMS.replace_all(&out, MASK).into_owned();
        }
        for pattern in &self.patterns {
            out = pattern.replace_all(&out, MASK).into_owned();
        }
        out
    }

    /// Whether anything in a text may be the name of a secret.
    fn may_name_secret(&self, text: &str) -> bool {
        let text = plain(text);
        self.names.iter().any(|name| text.contains(name.as_str()))
            || WORDS.iter().any(|word| text.contains(word))
    }
}

/// The text with a mask in place of these parts, which are in order.
fn replaced(text: &str, parts: &[Range<usize>]) -> String {
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    for part in parts {
        out.push_str(text.get(at..part.start).unwrap_or_default());
        out.push_str(MASK);
        at = at.max(part.end);
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

/// `-psecret` of programs that know it.
fn attached(program: &str, argument: &str) -> Option<String> {
    let is_one = |(of, option, _): &&(&str, &str, bool)| {
        *of == program
            && option.len() == 2
            && !argument.starts_with("--")
            && argument.len() > 2
            && argument.starts_with(option)
    };
    OPTIONS.iter().find(is_one).map(|(_, option, _)| format!("{option}{MASK}"))
}

fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// `sshKey`, `SSH_KEY` and `--ssh-key` as `ssh` and `key`.
fn words(name: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut small = false;
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() || (small && c.is_ascii_uppercase()) {
            out.push(String::new());
        }
        small = c.is_ascii_lowercase();
        if c.is_ascii_alphanumeric()
            && let Some(last) = out.last_mut()
        {
            last.push(c.to_ascii_lowercase());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(argv: &[&str]) -> String {
        let argv: Vec<String> = argv.iter().map(|a| (*a).to_owned()).collect();
        Masker::new(&[], &[]).unwrap().argv(&argv).join(" ")
    }

    #[test]
    fn values_of_telling_names_are_masked() {
        for (argv, expected) in [
            (&["x", "--password=a b"][..], "x --password=***"),
            (&["x", "--db-password", "hunter2", "-v"], "x --db-password *** -v"),
            (&["x", "-token", "abc"], "x -token ***"),
            (&["x", "--api-key=1", "--keyspace=k"], "x --api-key=*** --keyspace=k"),
            (
                &["env", "AWS_SECRET_ACCESS_KEY=s", "A=b", "x"],
                "env AWS_SECRET_ACCESS_KEY=*** A=b x",
            ),
            (&["x", "--sshKey=a", "--monkey=b"], "x --sshKey=*** --monkey=b"),
            (&["curl", "-H", "Authorization: Bearer a b", "u"], "curl -H Authorization: *** u"),
            (
                &["curl", "-d", r#"{"user":"u","password":"p w"}"#],
                r#"curl -d {"user":"u","password":***}"#,
            ),
            (
                &["curl", "-u", "me:pw", "http://h/?a=1&token=t&b=2"],
                "curl -u me:*** http://h/?a=1&token=***&b=2",
            ),
            (
                &["sh", "-c", "tool --password hunter2 -x; PASS=1 y"],
                "sh -c tool --password *** -x; PASS=*** y",
            ),
            (&["psql", "postgres://me:pw@h/db"], "psql postgres://me:***@h/db"),
            (&["x", "me:pw@tcp(h:3306)/db"], "x me:***@tcp(h:3306)/db"),
            (&["mysql", "-psecret", "-P", "3306"], "mysql -p*** -P 3306"),
            (&["/usr/bin/sshpass", "-p", "pw", "ssh", "h"], "/usr/bin/sshpass -p *** ssh h"),
            (&["x", "ghp_0123456789012345678901"], "x ***"),
            (&["x", "a sk_live_0123456789ab b"], "x a *** b"),
            (&["x", "a=eyJhbGciOiJI.eyJzdWIiOiIx.abc"], "x a=***"),
            (&["x", "--password", "--verbose"], "x --password --verbose"),
        ] {
            assert_eq!(masked(argv), expected);
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for argv in [
            &["go", "build", "-o", "a", "./..."][..],
            &["x", "--author=me", "--port=80", "http://h:80/a", "12:30"],
            &["mkdir", "-p", "/tmp/a"],
            &["docker", "run", "--name=x", "img:1"],
            &["tar", "--passive", "a"],
        ] {
            assert_eq!(masked(argv), argv.join(" "));
        }
    }

    /// Command lines are as hostile as anything: masking takes no time that grows with their square.
    #[test]
    fn long_arguments_take_no_long_time() {
        let began = std::time::Instant::now();
        for long in ["x", "a.", "-", "a:", "a=", "'", "://a@", "@tcp(", "--a ", "password"] {
            masked(&["x", &format!("password{}", long.repeat(16_000 / long.len()))]);
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
    }

    #[test]
    fn names_and_patterns_can_be_added() {
        let masker = Masker::new(&["Lic-Code".into()], &["BLUE-[0-9]+".into()]).unwrap();
        let argv = ["x", "--my-lic_code=5", "a BLUE-77 b"].map(str::to_owned);
        assert_eq!(masker.argv(&argv), ["x", "--my-lic_code=***", "a *** b"]);
        assert_eq!(Masker::off().argv(&argv), argv);
        let bad = Masker::new(&[], &["(".into()]).unwrap_err().to_string();
        assert!(bad.contains("pattern \"(\""), "{bad}");
    }
}
