//! Each guard, with the attack that it stops; and queries that only look like attacks.

use super::*;
use flight_common::FaultKind;

fn passes(kind: Kind, query: &str) -> String {
    checked(kind, query).unwrap_or_else(|fault| panic!("{query}: {fault:?}")).text
}

#[track_caller]
fn stopped(kind: Kind, query: &str, word: &str) {
    let fault = checked(kind, query).expect_err(query);
    assert!(matches!(fault.kind(), FaultKind::Denied | FaultKind::BadParams), "{query}: {fault:?}");
    assert!(fault.message().contains(word), "{word} in: {}", fault.message());
    assert_eq!(fault.violations()[0].pointer, "/query");
}

const PG: Kind = Kind::Postgres;
const MY: Kind = Kind::MySql;
const LITE: Kind = Kind::Sqlite;

#[test]
fn queries_that_only_look_dangerous_pass() {
    for query in [
        "SELECT * FROM log WHERE action = 'delete'",
        "SELECT 'a; DROP TABLE t; --' AS note, last_update, \"into\", \"delete\" FROM t",
        "WITH old AS (SELECT id FROM t) SELECT count(*) FROM old UNION ALL SELECT 1 ORDER BY 1",
        "SELECT upper(name) FROM t /* INSERT INTO x */ WHERE id = 5 -- DELETE",
        "(SELECT 1) UNION (SELECT 2)",
        "SELECT row_number() OVER (PARTITION BY a ORDER BY b) FROM t",
        "SELECT extract(year FROM d), substring(s FROM 2 FOR 3) FROM t",
    ] {
        passes(PG, query);
        if !query.contains("extract") && !query.starts_with('(') {
            passes(LITE, query);
        }
        passes(MY, query);
    }
    for query in [
        "SELECT a::numeric(10,2), b->>'x', c @> '{}'::jsonb, ARRAY[1,2] FROM t WHERE d ~* 'x' AND e = ANY($1)",
        "SELECT DISTINCT ON (a) a, b FROM t, LATERAL (SELECT 1) AS l TABLESAMPLE SYSTEM (1)",
        "SELECT $$it's; DELETE$$, E'\\'; DROP TABLE t; --' , pg_sleep(1)",
        "SELECT * FROM generate_series(1, 10) AS n WHERE n IS DISTINCT FROM 3 FETCH FIRST 2 ROWS ONLY",
        "VALUES (1, 'a'), (2, 'b')",
    ] {
        passes(PG, query);
    }
}

#[test]
fn what_comes_after_the_query_is_left_out() {
    assert_eq!(passes(PG, "SELECT 'é;'\n FROM t ; -- the end\n"), "SELECT 'é;'\n FROM t");
    assert_eq!(passes(LITE, "SELECT 1;;"), "SELECT 1");
}

#[test]
fn comments_are_blanked_and_places_stay() {
    let query = "SELECT a, -- one\n b /* two\nlines; é */ , c\n FROM t";
    assert_eq!(passes(PG, query), "SELECT a,       \n b       \n            , c\n FROM t");
    // MySQL wants a space after the dashes, or they are two minus signs.
    assert_eq!(passes(MY, "SELECT 1--1, '/* no */', \"-- no\" # yes"), "SELECT 1--1, '/* no */', \"-- no\"");
}

#[test]
fn tables_are_named_and_what_is_none_is_not() {
    let named = |kind, query: &str| {
        let tables = checked(kind, query).unwrap_or_else(|fault| panic!("{query}: {fault:?}")).tables;
        let spelled = |parts: Vec<Ident>| parts.iter().map(Ident::to_string).collect::<Vec<_>>().join(".");
        tables.into_iter().map(spelled).collect::<Vec<_>>()
    };
    let query = "WITH x AS (SELECT * FROM a.\"T\") SELECT * FROM x JOIN t ON t.id IN (SELECT id FROM u), generate_series(1, 2), t AS again";
    assert_eq!(named(PG, query), ["a.\"T\"", "t", "u"]);
    assert_eq!(named(MY, "SELECT * FROM `shop`.orders LEFT JOIN t USING (id)"), ["`shop`.orders", "t"]);
}

#[test]
fn what_a_column_is_cast_to_is_told() {
    let told = |query: &str| {
        let told = checked(LITE, query).unwrap_or_else(|fault| panic!("{query}: {fault:?}")).told;
        told.into_iter().map(|told| told.unwrap_or_else(|| "?".to_owned())).collect::<Vec<_>>()
    };
    let query = "SELECT a, (CAST(sum(b) AS REAL)) AS s, COUNT(*), avg(b) + 1, CAST(c AS varchar(9)) FROM t GROUP BY a";
    assert_eq!(told(query), ["?", "REAL", "INTEGER", "?", "VARCHAR(9)"]);
    let sides =
        "WITH x AS (SELECT 1) SELECT CAST(a AS TEXT), avg(b) FROM x UNION ALL SELECT CAST(c AS TEXT), count(*) FROM t";
    assert_eq!(told(sides), ["TEXT", "?"]);
    for query in ["SELECT *, CAST(a AS TEXT) FROM t", "SELECT t.*, count(*) FROM t", "VALUES (CAST(1 AS TEXT))"] {
        assert!(told(query).is_empty(), "{query}");
    }
}

#[test]
fn what_only_mysql_knows_is_stopped() {
    for (query, word) in [
        ("SELECT * FROM t INTO OUTFILE '/tmp/x'", "INTO at line 1, column 17"),
        ("SELECT * INTO DUMPFILE '/tmp/x' FROM t", "INTO"),
        ("SELECT a INTO @x FROM t", "INTO"),
        ("SELECT 1 /*!50000 INTO OUTFILE '/tmp/x' */", "/*!"),
        ("SELECT 1 /*M! INTO OUTFILE '/tmp/x' */", "/*M!"),
        ("SELECT 1--1 INTO OUTFILE '/tmp/x'\n", "INTO"),
        ("SELECT 'it\\'s', a INTO OUTFILE '/tmp/x'", "INTO"),
        ("SELECT * FROM t LOCK IN SHARE MODE", "LOCK"),
        ("SELECT * FROM t FOR UPDATE", "FOR"),
        ("SELECT LOAD_FILE('/etc/passwd')", "LOAD_FILE"),
        ("SELECT `load_file`('/etc/passwd')", "load_file"),
        ("SELECT get_lock('x', 10)", "get_lock"),
        ("SELECT NEXTVAL(s)", "NEXTVAL"),
        ("HANDLER t OPEN", "HANDLER"),
        ("LOAD DATA INFILE 'x' INTO TABLE t", "LOAD"),
        ("SELECT 1; DROP TABLE t", "more than one statement"),
    ] {
        stopped(MY, query, word);
    }
    passes(
        MY,
        "SELECT `for`, `into`, CAST(a AS UNSIGNED), b REGEXP 'x', IF(a, 1, 2), SLEEP(1) FROM t WHERE a <=> ? LIMIT 5, 10",
    );
}

#[test]
fn a_second_statement_is_stopped() {
    stopped(PG, "SELECT 1; DROP TABLE t", "more than one statement: the first ends at line 1, column 9");
    stopped(LITE, "SELECT 1; ATTACH 'x.db' AS x", "more than one statement");
}

#[test]
fn statements_that_are_no_queries_are_stopped() {
    for (query, word) in [
        ("DELETE FROM t", "DELETE"),
        ("insert into t values (1)", "INSERT"),
        ("COPY t TO PROGRAM 'sh'", "COPY"),
        ("DO $$ BEGIN END $$", "DO"),
        ("EXPLAIN ANALYZE SELECT 1", "EXPLAIN"),
        ("SET ROLE postgres", "SET"),
        ("CALL p()", "CALL"),
        ("", "empty"),
        ("-- nothing", "empty"),
    ] {
        stopped(PG, query, word);
    }
    for query in ["ATTACH DATABASE 'x.db' AS x", "PRAGMA writable_schema = 1", "VACUUM INTO 'x.db'"] {
        stopped(LITE, query, query.split(' ').next().unwrap_or_default());
    }
}

#[test]
fn a_writable_cte_is_stopped() {
    for (query, word) in [
        ("WITH gone AS (DELETE FROM t RETURNING *) SELECT * FROM gone", "DELETE at line 1, column 15"),
        ("WITH x AS (UPDATE t SET a = 1 RETURNING a) SELECT * FROM x", "UPDATE"),
        ("WITH a AS (SELECT 1), x AS (INSERT INTO t VALUES (1) RETURNING a) SELECT * FROM x", "INTO"),
        ("SELECT * FROM (WITH x AS (DELETE FROM t RETURNING a) SELECT * FROM x) AS y", "DELETE"),
        ("WITH x AS (SELECT 1) DELETE FROM t", "DELETE"),
    ] {
        stopped(PG, query, word);
    }
}

#[test]
fn select_into_is_stopped() {
    stopped(PG, "SELECT *\n  INTO copy\n FROM t", "INTO at line 2, column 3");
    stopped(PG, "SELECT a INTO TEMP copy FROM t", "INTO");
}

#[test]
fn locks_are_stopped() {
    for lock in ["UPDATE", "SHARE", "UPDATE OF t NOWAIT", "NO KEY UPDATE", "KEY SHARE"] {
        stopped(PG, &format!("SELECT * FROM t FOR {lock}"), "FOR at line 1, column 17");
    }
    stopped(PG, "SELECT * FROM (SELECT * FROM t FOR UPDATE) AS x", "FOR");
}

#[test]
fn functions_that_do_more_than_compute_are_stopped() {
    for (call, word) in [
        ("lo_import('/etc/passwd')", "lo_import at line 1, column 8"),
        ("lo_export(1, '/tmp/x')", "lo_export"),
        ("pg_read_file('/etc/passwd')", "pg_read_file"),
        ("pg_catalog.PG_READ_FILE ('/etc/passwd')", "PG_READ_FILE"),
        ("\"pg_read_file\"('/etc/passwd')", "pg_read_file"),
        ("pg_read_binary_file/* */('/etc/passwd')", "pg_read_binary_file"),
        ("pg_ls_dir('/')", "pg_ls_dir"),
        ("pg_terminate_backend(1)", "pg_terminate_backend"),
        ("query_to_xml('DELETE FROM t', true, true, '')", "query_to_xml"),
        ("set_config('statement_timeout', '0', false)", "set_config"),
        ("nextval('s')", "nextval"),
        ("CASE WHEN true THEN (SELECT max(setval('s', 1)) OVER ()) END", "setval"),
        ("coalesce(NULL, pg_advisory_lock(1))", "pg_advisory_lock"),
    ] {
        stopped(PG, &format!("SELECT {call}"), word);
    }
    stopped(PG, "SELECT * FROM dblink('host=x', 'DELETE FROM t') AS x(a int)", "dblink");
    stopped(PG, "SELECT * FROM t, LATERAL pg_ls_dir(t.a)", "pg_ls_dir");
    stopped(PG, "SELECT 1 ORDER BY pg_read_file('x')", "pg_read_file");
    stopped(PG, "SELECT * FROM pg_catalog.\"pg_hba_file_rules\"", "pg_hba_file_rules");
    stopped(PG, "TABLE PG_file_settings", "PG_file_settings");
    stopped(LITE, "SELECT load_extension('x.so')", "load_extension");
    stopped(LITE, "SELECT \"load_extension\"('x.so')", "load_extension");
    stopped(LITE, "SELECT writefile('x', 'y')", "writefile");
}

#[test]
fn functions_that_take_sql_or_whole_tables_are_stopped() {
    for what in ["query", "cursor", "table", "schema", "database"] {
        for form in ["xml", "xmlschema", "xml_and_xmlschema"] {
            let name = format!("{what}_to_{form}");
            let why = if matches!(what, "query" | "cursor") { "hidden in a text" } else { "does not name" };
            stopped(PG, &format!("SELECT {name}('t', true, false, '')"), &name);
            stopped(PG, &format!("SELECT pg_catalog.{name}('t', true, false, '')"), why);
            stopped(PG, &format!("SELECT ('t'::regclass).{name}"), "after a dot");
        }
    }
    for call in ["run_command_on_workers('SELECT 1')", "aws_s3.query_export_to_s3('SELECT 1', NULL)", "pg_logdir_ls()"]
    {
        stopped(PG, &format!("SELECT {call}"), "refused");
    }
    for call in ["spider_direct_sql('DELETE FROM t', '', '')", "mroonga_command('shutdown')", "do_system('id')"] {
        stopped(MY, &format!("SELECT {call}"), "refused");
    }
    stopped(LITE, "SELECT name FROM fsdir('/etc')", "fsdir");
    passes(PG, "SELECT xmlforest(t.a), to_jsonb(t), t.table_name, t.schema_name FROM t");
}

#[test]
fn functions_that_only_take_their_time_pass() {
    passes(PG, "SELECT pg_sleep(1)");
    passes(MY, "SELECT SLEEP(1), BENCHMARK(10, MD5('x'))");
}

#[test]
fn functions_are_stopped_after_a_dot_too() {
    for (query, word) in [
        ("SELECT ('/etc/hostname'::text).pg_read_file AS a", "pg_read_file at line 1, column 32"),
        ("SELECT (x).\"pg_ls_dir\" FROM lower('/') AS x", "pg_ls_dir"),
        ("SELECT x.pg_ls_dir FROM lower('/') AS x", "pg_ls_dir"),
        ("SELECT (x) /* */ .\n PG_LS_DIR FROM lower('/') AS x", "PG_LS_DIR at line 2, column 2"),
        ("SELECT $1.pg_ls_dir", "pg_ls_dir"),
        ("SELECT t.a[1].pg_ls_dir FROM t", "pg_ls_dir"),
        ("SELECT (SELECT 's'::regclass).nextval", "nextval"),
        ("SELECT (x).U&\"pg\\005fls_dir\" FROM lower('/') AS x", "U&"),
        ("SELECT 1 FROM pg_largeobject_metadata l ORDER BY (l.oid).lo_unlink", "lo_unlink"),
        ("SELECT TREAT('/' AS pg_ls_dir)", "TREAT at line 1, column 8"),
    ] {
        stopped(PG, query, word);
    }
    for query in [
        "SELECT t.treat, l.lo_revenue, (t.place).city, t.edit, nextval FROM t, lineorder AS l",
        "SELECT * FROM pg_catalog.pg_replication_slots",
    ] {
        passes(PG, query);
    }
    passes(LITE, "SELECT t.edit, t.eval FROM t");
    passes(MY, "SELECT t.nextval FROM t");
}

#[test]
fn a_table_is_a_query() {
    let tables = |kind, query: &str| {
        let checked = checked(kind, query).unwrap_or_else(|fault| panic!("{query}: {fault:?}"));
        assert_eq!(checked.text, query, "it is sent as it was written");
        checked.tables.into_iter().map(|parts| parts.last().map(|name| name.value.clone())).collect::<Vec<_>>()
    };
    let named = |names: &[&str]| names.iter().map(|name| Some((*name).to_owned())).collect::<Vec<_>>();
    assert_eq!(tables(PG, "TABLE hr.emp"), named(&["emp"]));
    assert_eq!(tables(PG, "(TABLE a) UNION ALL TABLE b ORDER BY 1 LIMIT 3"), named(&["a", "b"]));
    assert_eq!(tables(PG, "SELECT * FROM (TABLE \"Emp\") AS e"), named(&["Emp"]));
    assert_eq!(tables(MY, "TABLE emp LIMIT 1"), named(&["emp"]));
    passes(PG, "SELECT 1 AS table FROM t");
    stopped(PG, "TABLE emp; DROP TABLE emp", "more than one statement");
    stopped(PG, "TABLE emp FOR UPDATE", "FOR");
    stopped(PG, "TABLE emp INTO x", "INTO");
}

#[test]
fn a_name_spelled_by_codes_is_stopped() {
    stopped(PG, "SELECT U&\"pg\\005fread_file\"('/etc/passwd')", "U&");
    stopped(PG, "SELECT u&\"\\0070g_ls_dir\"('/')", "u&".to_uppercase().as_str());
}

#[test]
fn what_cannot_be_read_is_stopped() {
    for query in ["SELECT 'open", "SELECT 1) TO PROGRAM 'sh'", "SELECT /* open", "SELECT 1 FROM WHERE ="] {
        stopped(PG, query, "cannot be read");
    }
    let deep = format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000));
    stopped(PG, &deep, "nested too deeply");
    let long = format!("SELECT 1 IN ({})", "1,".repeat(LONGEST / 2));
    stopped(PG, &long, "is the most");
}

#[test]
fn a_text_that_goes_on_by_rules_of_its_own_is_stopped() {
    // For PostgreSQL the second part is `\\' , ' , pg_ls_dir(…)`, of which the quote after the backslash is a letter.
    stopped(PG, "SELECT E'a'\n'\\' , ' , pg_ls_dir(chr(47)) --'", "goes on at line 2, column 1");
    stopped(PG, "SELECT E'a' -- b\n '\\' , ' , pg_sleep(9) --'", "goes on");
    stopped(PG, "SELECT U&'a'\n'b'", "goes on");
    passes(PG, "SELECT E'a\\'' || 'b', 'c' AS d, E'e'");
}
