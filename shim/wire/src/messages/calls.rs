//! A service as a list of its methods.
use crate::codec::Message;
use crate::rpc::{Code, Status};

/// From a list of methods: the enumerations of calls and answers, and what decodes the calls. The module has its service's
/// names as `SERVICES`.
macro_rules! methods {
    ($($method:ident $request:ident $response:ident)*) => {
        /// A request to the service, decoded.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Call {
            $($method($request),)*
        }

        impl Call {
            /// The names of the methods.
            pub const METHODS: &[&str] = &[$(stringify!($method)),*];

            /// The call that a request to one of [`SERVICES`] makes.
            pub fn of(request: &$crate::rpc::Request) -> Result<Call, $crate::rpc::Status> {
                use $crate::rpc::Status;
                if !SERVICES.contains(&request.service.as_str()) {
                    return Err(Status::no_service(&request.service));
                }
                match request.method.as_str() {
                    $(stringify!($method) =>
                        $crate::messages::calls::decode(&request.payload).map(Call::$method),)*
                    other => Err(Status::no_method(other)),
                }
            }
        }

        /// What a call of the service answers.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Answer {
            $($method($response),)*
        }

        impl Answer {
            /// The message, to be written.
            pub fn message(&self) -> &dyn $crate::codec::Fields {
                match self {
                    $(Answer::$method(answer) => answer,)*
                }
            }
        }
    };
}
pub(crate) use methods;

pub(crate) fn decode<M: Message>(payload: &[u8]) -> Result<M, Status> {
    M::decode(payload).map_err(|error| {
        // The code and the first words are the Go server's.
        Status::new(
            Code::Internal,
            format!("ttrpc: error unmarshalling payload: {error}"),
        )
    })
}
