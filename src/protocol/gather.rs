//! Events ↔ a whole answer, both ways.

use super::neutral::{Annotation, Block, Event, Keyed, Open, Piece, Reply, Sink, Start, Usage};
use super::text::Text;
use crate::error::{Error, Kind};
use crate::wire::json::Raw;

/// Bytes of an answer that is gathered.
pub const GATHERED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Makes a [`Reply`] of events that keep the grammar.
#[derive(Default)]
pub struct Gather {
    start: Option<Start<'static>>,
    blocks: Vec<Block<'static>>,
    usage: Option<Usage>,
    reply: Option<Reply<'static>>,
    bytes: usize,
}

impl Gather {
    /// Takes the next event.
    ///
    /// # Errors
    /// The answer is larger than [`GATHERED_BYTES_MAX`].
    pub fn take(&mut self, event: &Event<'_>) -> Result<(), Error> {
        match event {
            Event::Start(start) => self.start = Some(start.clone().into_owned()),
            Event::Open(open) => self.blocks.push(match open.clone().into_owned() {
                Open::Text => Block::Text {
                    text: Text::EMPTY,
                    annotations: Vec::new(),
                    logprobs: String::new(),
                },
                Open::Reasoning => Block::Reasoning {
                    text: Text::EMPTY,
                    proof: None,
                },
                Open::Refusal => Block::Refusal(Text::EMPTY),
                Open::Call(head) => Block::Call {
                    head,
                    arguments: Text::EMPTY,
                    whole: true,
                },
                Open::Hosted(hosted) => Block::Hosted(hosted),
            }),
            Event::Delta(piece) => self.piece(piece)?,
            Event::Annotation(annotation) => {
                if let Some(Block::Text { annotations, .. }) = self.blocks.last_mut() {
                    self.bytes += size_of::<Annotation<'_>>() + annotation.bytes();
                    annotations.push(annotation.clone().into_owned());
                }
            }
            Event::Close { whole: ended } => {
                if let Some(Block::Call { whole, .. }) = self.blocks.last_mut() {
                    *whole = *ended;
                }
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish(finish) => {
                self.reply = Some(Reply {
                    start: self.start.take().unwrap_or_default(),
                    blocks: std::mem::take(&mut self.blocks),
                    usage: self.usage,
                    finish: finish.clone().into_owned(),
                });
            }
        }
        Ok(())
    }

    fn piece(&mut self, piece: &Piece<'_>) -> Result<(), Error> {
        let mut add = |to: &mut Text<'static>, more: &Text<'_>| {
            self.bytes += more.as_escaped().len();
            to.push(more);
        };
        match (self.blocks.last_mut(), piece) {
            (
                Some(Block::Text { text, logprobs, .. }),
                Piece::Text {
                    text: more,
                    logprobs: odds,
                },
            ) => {
                add(text, more);
                if let Some(odds) = odds {
                    // `[a,b]` joins as `a,b`.
                    let inner = odds.text().strip_prefix('[');
                    let inner = inner.and_then(|inner| inner.strip_suffix(']'));
                    let inner = inner.unwrap_or_default().trim();
                    if !inner.is_empty() {
                        self.bytes += inner.len();
                        if !logprobs.is_empty() {
                            logprobs.push(',');
                        }
                        logprobs.push_str(inner);
                    }
                }
            }
            (Some(Block::Reasoning { text, .. }), Piece::Reasoning(more)) => add(text, more),
            (Some(Block::Reasoning { proof, .. }), Piece::Proof(found)) => {
                self.bytes += found.value.as_escaped().len();
                *proof = Some(found.clone().into_owned())
            }
            (Some(Block::Refusal(text)), Piece::Refusal(more)) => add(text, more),
            (Some(Block::Call { arguments, .. }), Piece::Arguments(more)) => add(arguments, more),
            _ => {}
        }
        if self.bytes > GATHERED_BYTES_MAX {
            return Err(Error::upstream(
                Kind::BadReply,
                "the upstream's answer is larger than is gathered",
            ));
        }
        Ok(())
    }

    /// Bytes gathered so far.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The answer, once its Finish has come.
    pub fn reply(self) -> Option<Reply<'static>> {
        self.reply
    }
}

impl Reply<'_> {
    /// The events it is the sum of, one delta per block.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn emit(self, out: &mut Sink<'_>) -> Result<(), Error> {
        let mut emit = |block: usize, event: Event<'_>| {
            out(Keyed {
                block: block as u32,
                event,
            })
        };
        emit(0, Event::Start(self.start))?;
        // First, so that it is known when a stop ends the answer before the rest of it.
        if let Some(usage) = self.usage {
            emit(0, Event::Usage(usage))?;
        }
        for (key, block) in self.blocks.into_iter().enumerate() {
            let mut ended = true;
            match block {
                Block::Text {
                    text,
                    annotations,
                    logprobs,
                } => {
                    emit(key, Event::Open(Open::Text))?;
                    let array = match logprobs.as_str() {
                        "" => String::new(),
                        elements => format!("[{elements}]"),
                    };
                    let odds = (!array.is_empty()).then(|| Raw::parse(&array));
                    let odds = odds.and_then(Result::ok);
                    if !text.is_empty() || odds.is_some() {
                        emit(
                            key,
                            Event::Delta(Piece::Text {
                                text,
                                logprobs: odds,
                            }),
                        )?;
                    }
                    for annotation in annotations {
                        emit(key, Event::Annotation(annotation))?;
                    }
                }
                Block::Reasoning { text, proof } => {
                    emit(key, Event::Open(Open::Reasoning))?;
                    if !text.is_empty() {
                        emit(key, Event::Delta(Piece::Reasoning(text)))?;
                    }
                    if let Some(proof) = proof {
                        emit(key, Event::Delta(Piece::Proof(proof)))?;
                    }
                }
                Block::Refusal(text) => {
                    emit(key, Event::Open(Open::Refusal))?;
                    if !text.is_empty() {
                        emit(key, Event::Delta(Piece::Refusal(text)))?;
                    }
                }
                Block::Call {
                    head,
                    arguments,
                    whole,
                } => {
                    ended = whole;
                    emit(key, Event::Open(Open::Call(head)))?;
                    if !arguments.is_empty() {
                        emit(key, Event::Delta(Piece::Arguments(arguments)))?;
                    }
                }
                Block::Hosted(hosted) => emit(key, Event::Open(Open::Hosted(hosted)))?,
            }
            emit(key, Event::Close { whole: ended })?;
        }
        emit(0, Event::Finish(self.finish))
    }
}

impl Start<'_> {
    /// The same, owning its bytes.
    pub fn into_owned(self) -> Start<'static> {
        Start {
            id: self.id.map(Text::into_owned),
            model: self.model.map(Text::into_owned),
            created: self.created,
            tier: self.tier.map(Text::into_owned),
        }
    }
}
