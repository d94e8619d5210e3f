//! What a gateway does that shares its log with others: it takes up what they change of the keys and what they spend and use of limits, and puts its
//! configuration in force when it is the one that holds the log.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use slarouter_store::StoreError;
use tokio::sync::watch;
use tokio::time::sleep;

use super::reprice::LoggedRoutes;
use crate::app::App;

/// Between two looks at keys and spending: a key that is revoked elsewhere ends here within a second.
const EVERY: Duration = Duration::from_millis(500);
/// Pause after the log could not take a configuration.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) async fn keep_up(live: Arc<ArcSwap<App>>, logged: Arc<LoggedRoutes>, stop: watch::Receiver<bool>) {
    tokio::join!(follow_others(&live, stop.clone()), hold(&live, &logged, stop));
}

/// Takes keys into force that other gateways have changed, and counts what they have spent and used of limits per minute.
async fn follow_others(live: &ArcSwap<App>, mut stop: watch::Receiver<bool>) {
    let (mut known, mut is_failing) = (None, false);
    loop {
        let app = live.load_full();
        let changed = match app.store.key_version().await {
            Ok(None) => return,
            Ok(version) if version == known => Ok(()),
            Ok(version) => app.reload_keys().await.map(|()| known = version).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let now = app.clock.now();
        let spent = app.store.spent_elsewhere(app.auth.meters.since(now)).await;
        let changed =
            changed.and(spent.map(|spent| app.auth.meters.restore(spent, now)).map_err(|error| error.to_string()));
        let changed = changed.and(share_usage(&app).await.map_err(|error| error.to_string()));
        let changed = changed.and(app.store.forget_for_others().await.map_err(|error| error.to_string()));
        if let Err(error) = &changed
            && !is_failing
        {
            tracing::error!(
                error,
                "the keys and what was spent cannot be read: what other gateways change of them waits, and of limits per minute this one has its share; whom others were asked to forget waits too"
            );
        }
        is_failing = changed.is_err();
        drop(app);
        tokio::select! { _ = stop.changed() => return, () = sleep(EVERY) => {} }
    }
}

/// Tells the others what was used here of limits per minute, and learns how that stands with all of them.
async fn share_usage(app: &App) -> Result<(), StoreError> {
    let meters = &app.auth.meters;
    let used = meters.tell();
    match app.store.share_usage(used.clone()).await {
        Ok(Some(together)) => meters.hear(&together, app.clock.now()),
        Ok(None) => {}
        Err(error) => {
            meters.untell(&used);
            return Err(error);
        }
    }
    Ok(())
}

/// Writes this gateway's configuration to the log whenever it comes to hold it: until then that of another was in force.
async fn hold(live: &ArcSwap<App>, logged: &LoggedRoutes, mut stop: watch::Receiver<bool>) {
    let mut role = live.load().store.role();
    if role.has_changed().is_err() {
        return;
    }
    loop {
        let is_holder = role.borrow_and_update().is_holder();
        if is_holder && let Err(error) = configure(&live.load_full(), logged).await {
            tracing::error!(%error, "the configuration is not in the log yet: the one of the gateway that held it before is in force");
            tokio::select! {
                _ = stop.changed() => return,
                () = sleep(PAUSE) => role.mark_changed(),
            }
        }
        tokio::select! {
            _ = stop.changed() => return,
            changed = role.changed() => if changed.is_err() { return },
        }
    }
}

async fn configure(app: &App, logged: &LoggedRoutes) -> Result<(), StoreError> {
    // Held, so that a reload comes before or after.
    let routes = logged.routes.lock().await;
    for (name, route) in routes.iter() {
        let json = route.json().map_err(|_| StoreError::Entry)?;
        app.store.configure(app.clock.now(), name, &json).await?;
    }
    Ok(())
}
