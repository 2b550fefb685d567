//! The visits, in PostgreSQL. Reached through its unix socket; PostgreSQL asks the kernel who is calling, so there is no
//! password.

use std::time::Duration;

use postgres::{Client, Config, Error, NoTls};

/// Where PostgreSQL's socket is: the runtime directory of counter-database.service.
const SOCKET_FOLDER: &str = "/run/counter-database";
/// An answer on the same machine takes milliseconds; whoever waits longer should hear about it.
const PATIENCE: Duration = Duration::from_secs(4);

/// How often the page was visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visits {
    /// Since the beginning.
    pub total: i64,
    /// Since midnight, in the time zone of the settings.
    pub today: i64,
}

/// A connection that is made again when it is lost: the database may be restarted at any time.
#[derive(Default)]
pub struct Database {
    client: Option<Client>,
}

impl Database {
    /// Reads the numbers.
    pub fn visits(&mut self) -> Result<Visits, Error> {
        read(self.client()?)
    }

    /// Counts one visit. It is on disk when this returns.
    pub fn count(&mut self) -> Result<Visits, Error> {
        let client = self.client()?;
        client.execute(
            "INSERT INTO visits (day, number) VALUES (current_date, 1)
             ON CONFLICT (day) DO UPDATE SET number = visits.number + 1",
            &[],
        )?;
        read(client)
    }

    /// Begins again at zero.
    pub fn reset(&mut self) -> Result<(), Error> {
        self.client()?.execute("DELETE FROM visits", &[]).map(drop)
    }

    /// Shows that a visit could be counted, and counts none.
    pub fn check_write(&mut self) -> Result<(), Error> {
        let mut transaction = self.client()?.transaction()?;
        transaction.execute("INSERT INTO visits (day, number) VALUES ('infinity', 0)", &[])?;
        transaction.rollback()
    }

    fn client(&mut self) -> Result<&mut Client, Error> {
        let usable =
            self.client.take().and_then(|mut client| client.is_valid(PATIENCE).is_ok().then_some(client));
        let client = usable.map_or_else(connect, Ok)?;
        Ok(self.client.insert(client))
    }
}

fn connect() -> Result<Client, Error> {
    let mut client = Config::new()
        .host_path(SOCKET_FOLDER)
        .user("counter")
        .dbname("counter")
        .application_name("counter")
        .connect_timeout(PATIENCE)
        .options(&format!("-c statement_timeout={}", PATIENCE.as_millis()))
        .connect(NoTls)?;
    // Two workers may come here at once; the lock makes one wait (`IF NOT EXISTS` alone can fail then).
    client.batch_execute(
        "BEGIN;
         SELECT pg_advisory_xact_lock(1);
         CREATE TABLE IF NOT EXISTS visits (day date PRIMARY KEY, number bigint NOT NULL);
         COMMIT",
    )?;
    Ok(client)
}

fn read(client: &mut Client) -> Result<Visits, Error> {
    let row = client.query_one(
        "SELECT coalesce(sum(number), 0)::bigint,
                coalesce(sum(number) FILTER (WHERE day = current_date), 0)::bigint FROM visits",
        &[],
    )?;
    Ok(Visits { total: row.try_get(0)?, today: row.try_get(1)? })
}

/// The error with what PostgreSQL says about it.
pub fn explain(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Fails when PostgreSQL has found damage in what it read from disk, or could lose what it has confirmed.
pub fn probe() -> Result<(), String> {
    let ask = || -> Result<(i64, bool), Error> {
        let row = connect()?.query_one(
            "SELECT coalesce(sum(checksum_failures), 0)::bigint,
                    current_setting('fsync')::bool AND current_setting('data_checksums')::bool FROM pg_stat_database",
            &[],
        )?;
        Ok((row.try_get(0)?, row.try_get(1)?))
    };
    match ask().map_err(|error| explain(&error))? {
        (0, true) => Ok(()),
        (0, false) => Err("fsync or data checksums are off".to_owned()),
        (number, _) => Err(format!("{number} damaged pages were read")),
    }
}
