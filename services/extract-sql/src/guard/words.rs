//! Functions that a query may not call, and why. A star stands for any ending.
//!
//! For PostgreSQL names stand for calls after a dot too, where columns and tables also stand. So no star there covers what
//! a column is likely to be called (`lo_revenue`), or a view is (`pg_catalog.pg_replication_slots`).
//!
//! A read-only transaction keeps a query from writing tables, and no more: these read files of the server, end what others
//! do, wait for others, run further statements that nobody has looked at, or read tables that nobody has named. What only
//! takes its time (`pg_sleep`, `SLEEP`, `BENCHMARK`) is no matter: the time-out ends it.

use databases::Kind;

/// Why a function is refused.
pub type Word = (&'static str, &'static str);

const FILES: &str = "it reads or writes files of the server";
const STATEMENTS: &str = "it runs statements that are hidden in a text";
const TABLES: &str = "it reads tables that the query does not name";
const SERVER: &str = "it acts on the server and on others who use it";
const STATE: &str = "it changes what outlives the query";
const LOCKS: &str = "it takes or gives back locks";

const POSTGRES: &[Word] = &[
    ("lo_close", FILES),
    ("lo_creat", FILES),
    ("lo_create", FILES),
    ("lo_export", FILES),
    ("lo_from_bytea", FILES),
    ("lo_get", FILES),
    ("lo_import", FILES),
    ("lo_lseek", FILES),
    ("lo_lseek64", FILES),
    ("lo_open", FILES),
    ("lo_put", FILES),
    ("lo_tell", FILES),
    ("lo_tell64", FILES),
    ("lo_truncate", FILES),
    ("lo_truncate64", FILES),
    ("lo_unlink", FILES),
    ("loread", FILES),
    ("lowrite", FILES),
    ("pg_read_*", FILES),
    ("pg_ls_*", FILES),
    ("pg_stat_file", FILES),
    ("pg_file_length", FILES),
    ("pg_file_read", FILES),
    ("pg_file_rename", FILES),
    ("pg_file_sync", FILES),
    ("pg_file_unlink", FILES),
    ("pg_file_write", FILES),
    ("pg_current_logfile", FILES),
    ("pg_show_all_file_settings", FILES),
    ("pg_logdir_ls", FILES),
    ("dblink*", STATEMENTS),
    ("query_to_xml*", STATEMENTS),
    ("query_export_to_s3", STATEMENTS),
    ("cursor_to_xml*", STATEMENTS),
    ("run_command_on_*", STATEMENTS),
    ("pg_background_launch", STATEMENTS),
    ("ts_stat", STATEMENTS),
    ("ts_rewrite", STATEMENTS),
    ("crosstab*", STATEMENTS),
    ("connectby", STATEMENTS),
    ("xpath_table", STATEMENTS),
    ("table_to_xml*", TABLES),
    ("schema_to_xml*", TABLES),
    ("database_to_xml*", TABLES),
    ("set_config", STATE),
    ("nextval", STATE),
    ("setval", STATE),
    ("pg_notify", SERVER),
    ("pg_terminate_backend", SERVER),
    ("pg_cancel_backend", SERVER),
    ("pg_reload_conf", SERVER),
    ("pg_rotate_logfile*", SERVER),
    ("pg_promote", SERVER),
    ("pg_switch_*", SERVER),
    ("pg_start_backup", SERVER),
    ("pg_stop_backup", SERVER),
    ("pg_backup_*", SERVER),
    ("pg_create_*", SERVER),
    ("pg_drop_*", SERVER),
    ("pg_copy_*", SERVER),
    ("pg_export_snapshot", SERVER),
    ("pg_prewarm", SERVER),
    ("pg_wal_replay_*", SERVER),
    ("pg_replication_slot_advance", SERVER),
    ("pg_replication_origin_advance", SERVER),
    ("pg_replication_origin_create", SERVER),
    ("pg_replication_origin_drop", SERVER),
    ("pg_replication_origin_session_*", SERVER),
    ("pg_replication_origin_xact_*", SERVER),
    ("pg_sync_replication_slots", SERVER),
    ("pg_logical_*", SERVER),
    ("pg_stat_reset*", SERVER),
    ("pg_stat_statements_reset", SERVER),
    ("pg_log_*", SERVER),
    ("pg_import_*", SERVER),
    ("pg_restore_*", SERVER),
    ("pg_clear_*", SERVER),
    ("pg_nextoid", SERVER),
    ("pg_stop_making_pinned_objects", SERVER),
    ("pg_truncate_visibility_map", SERVER),
    ("pg_buffercache_evict*", SERVER),
    ("autoprewarm_*", SERVER),
    ("binary_upgrade_*", SERVER),
    ("brin_summarize_*", SERVER),
    ("brin_desummarize_range", SERVER),
    ("gin_clean_pending_list", SERVER),
    ("heap_force_*", SERVER),
    ("pg_advisory_*", LOCKS),
    ("pg_try_advisory_*", LOCKS),
];

const MYSQL: &[Word] = &[
    ("load_file", FILES),
    ("sys_exec", FILES),
    ("sys_eval", FILES),
    ("sys_bineval", FILES),
    ("sys_get", FILES),
    ("sys_set", FILES),
    ("do_system", FILES),
    ("mroonga_command", STATEMENTS),
    ("spider_*", STATEMENTS),
    ("nextval", STATE),
    ("setval", STATE),
    ("get_lock", LOCKS),
    ("release_lock", LOCKS),
    ("release_all_locks", LOCKS),
    ("service_get_*", LOCKS),
    ("service_release_*", LOCKS),
    ("master_pos_wait", SERVER),
    ("master_gtid_wait", SERVER),
    ("source_pos_wait", SERVER),
    ("wait_for_executed_gtid_set", SERVER),
    ("wait_until_sql_thread_after_gtids", SERVER),
    ("keyring_*", SERVER),
    ("asynchronous_connection_failover_*", SERVER),
    ("audit_log_*", SERVER),
    ("group_replication_*", SERVER),
    ("version_tokens_*", SERVER),
];

const SQLITE: &[Word] = &[
    ("load_extension", "it loads code into this process"),
    ("fts3_tokenizer", "it loads code into this process"),
    ("readfile", FILES),
    ("writefile", FILES),
    ("fsdir", FILES),
    ("zipfile", FILES),
    ("edit", FILES),
    ("eval", STATEMENTS),
];

/// Functions, and views over them, that show what stands in the configuration files of PostgreSQL: not under these names as
/// tables either.
const FILE_VIEWS: [&str; 3] = ["pg_file_settings", "pg_hba_file_rules", "pg_ident_file_mappings"];

/// Why nothing of this name may stand in a query for PostgreSQL, if it may not.
pub fn refused_anywhere(name: &str) -> Option<&'static str> {
    FILE_VIEWS.contains(&folded(name).as_str()).then_some(FILES)
}

/// A name in small letters. To a server with Turkish letters the dotted capital is the small `i`; here it would become `i` with a
/// dot of its own.
fn folded(name: &str) -> String {
    name.replace('İ', "i").to_lowercase()
}

/// Why a function of this name may not be called, if it may not.
pub fn refused(kind: Kind, name: &str) -> Option<&'static str> {
    let words = match kind {
        Kind::Postgres => POSTGRES,
        Kind::MySql => MYSQL,
        Kind::Sqlite => SQLITE,
    };
    let name = folded(name);
    let meant = |word: &str| match word.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == word,
    };
    words.iter().find(|(word, _)| meant(word)).map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case_and_by_their_start() {
        for name in
            ["lo_import", "LO_EXPORT", "pg_read_binary_file", "pg_read_fİle", "Dblink_Exec", "query_to_xmlschema"]
        {
            assert!(refused(Kind::Postgres, name).is_some(), "{name}");
        }
        for name in [
            "log",
            "lower",
            "lo_revenue",
            "pg_replication_slots",
            "pg_file_settings",
            "pg_sleep",
            "pg_size_pretty",
            "count",
            "load_extension",
        ] {
            assert!(refused(Kind::Postgres, name).is_none(), "{name}");
        }
    }
}
