//! Which call goes where: the streaming ones to the fast path, the others to `tonic`'s generated service.

use super::Service;
use super::call::Caller;
use super::unary::Unary;
use crate::wire::whole;
use arrow_flight::flight_service_server::FlightServiceServer;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::server::NamedService;

/// The Flight service of a server.
#[derive(Clone)]
pub(super) struct Mux {
    service: Arc<Service>,
    unary: FlightServiceServer<Unary>,
}

impl Mux {
    pub fn new(service: Arc<Service>) -> Self {
        let unary = FlightServiceServer::new(Unary(service.clone()));
        Self { service, unary }
    }
}

impl NamedService for Mux {
    const NAME: &'static str = "arrow.flight.protocol.FlightService";
}

impl tower::Service<Request<Body>> for Mux {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let service = self.service.clone();
        let request = request.map(whole);
        let method = request.uri().path().rsplit('/').next().unwrap_or_default();
        let caller = || Caller::of(request.headers());
        match method {
            "DoExchange" => {
                let caller = caller();
                service.exchange(caller, request.into_body()).map(Ok).boxed()
            }
            "DoGet" => {
                let caller = caller();
                service.get(caller, request.into_body()).map(Ok).boxed()
            }
            "DoPut" => {
                let caller = caller();
                service.put(caller, request.into_body()).map(Ok).boxed()
            }
            _ => self.unary.call(request),
        }
    }
}
