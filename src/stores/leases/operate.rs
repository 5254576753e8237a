//! What an operator wants of accounts that are kept on shards.

use std::rc::Rc;

use super::Keepers;
use crate::authority::books::Scope;
use crate::authority::message::{Part, Why};
use crate::authority::{NotRetired, Retired};
use crate::clock;
use crate::reconcile::guards::operator::{Ask, Said};
use crate::store::valkey::lease::{Function, Reply, decode, encode};
use crate::units::{AdvertiserId, Micros, NodeId};

impl Keepers {
    /// Does it, on the shard of the part or on all; what could not be made safe is said so.
    pub(super) async fn operate(self: &Rc<Self>, part: Option<Part>, ask: Ask) -> Said {
        match (ask, part) {
            (Ask::Stop(scope), Some(Part::Advertiser(advertiser))) => self.stop(advertiser, scope).await,
            (Ask::Resume(scope), Some(Part::Advertiser(advertiser))) => self.resume(advertiser, scope).await,
            (Ask::Retire(node), _) => self.retire(node).await,
            _ => None,
        }
        .unwrap_or(Said::Unsafe)
    }

    async fn stopped(&self, advertiser: AdvertiserId) -> Option<Vec<(Scope, Why)>> {
        let said = self.ask(advertiser, Function::Stops, &[]).await?;
        match decode::stops(&said).ok()? {
            (_, Reply::Done(stops)) => Some(stops),
            _ => None,
        }
    }

    async fn stop(&self, advertiser: AdvertiserId, scope: Scope) -> Option<Said> {
        let before = why(&self.stopped(advertiser).await?, scope);
        let said = self.ask(advertiser, Function::Stop, &encode::stop(scope, Why::Operator)).await?;
        matches!(decode::done(&said), Ok((_, Reply::Done(())))).then_some(Said::Stopped { before })
    }

    async fn resume(&self, advertiser: AdvertiserId, scope: Scope) -> Option<Said> {
        let stops = self.stopped(advertiser).await?;
        let said = self.ask(advertiser, Function::Resume, &encode::resume(scope)).await?;
        let still = match scope {
            Scope::Campaign(_) => why(&stops, Scope::Advertiser(advertiser)),
            Scope::Advertiser(_) => None,
        };
        matches!(decode::resumed(&said), Ok((_, Reply::Done(_))))
            .then(|| Said::Resumed { before: why(&stops, scope), still })
    }

    /// In the register first: no process of it begins any more. A shard that cannot be told now hears of it with the next
    /// epoch, or when the node is retired again.
    async fn retire(&self, node: NodeId) -> Option<Said> {
        match self.processes.retire(clock::wall(), node).await {
            // Again, for the shards that were not reached the first time.
            Ok(Ok(()) | Err(NotRetired::Already)) => {}
            Ok(Err(why)) => return Some(Said::Retired(Err(why))),
            Err(failure) => {
                log::error!("node {}: not retired: the register in DynamoDB: {failure}", node.0);
                return None;
            }
        }
        let advertisers: Vec<_> = self.state.borrow().shards.keys().copied().collect();
        let (mut retired, mut all) = (Retired { leases: 0, charged: Micros::ZERO }, true);
        for advertiser in advertisers {
            let said = self.ask(advertiser, Function::Retire, &encode::retire(node)).await;
            match said.as_deref().map(decode::retired) {
                Some(Ok((_, Reply::Done(of_shard)))) => {
                    retired.leases += of_shard.leases;
                    retired.charged = retired.charged.plus(of_shard.charged);
                }
                Some(Ok((_, Reply::Refused(crate::store::valkey::lease::Refused::Retired)))) => {}
                _ => {
                    log::error!(
                        "node {}: advertiser {} was not told that it is retired; retire it again",
                        node.0,
                        advertiser.0
                    );
                    all = false;
                }
            }
        }
        all.then_some(Said::Retired(Ok(retired)))
    }
}

fn why(stops: &[(Scope, Why)], scope: Scope) -> Option<Why> {
    stops.iter().find(|(stopped, _)| *stopped == scope).map(|(_, why)| *why)
}
