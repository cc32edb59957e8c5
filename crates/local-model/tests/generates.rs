//! What tiny models say.

use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::{Device, Tensor};
use candle_transformers::models::quantized_llama::ModelWeights;
use local_model::testing::{CONTEXT, Tiny};
use local_model::{Answer, Card, Flaw, Manner, Model, Voice};
use std::cell::Cell;
use std::fs::File;
use std::io::{Cursor, Write};

const GREEDY: Manner = Manner { max_tokens: 8, temperature: 0.0, top_p: 1.0, seed: 0 };

fn file(tiny: &Tiny) -> File {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&tiny.bytes()).expect("written");
    file
}

fn load(tiny: &Tiny) -> Model {
    Model::load(&mut file(tiny)).expect("it is whole")
}

fn said(model: &Model, prompt: &str, manner: Manner) -> Answer {
    let tokens = model.voice().prompt(None, prompt).expect("tokens");
    model.answer(&tokens, &manner, &|| Ok(())).expect("an answer")
}

fn answer(words: &str, tokens: usize, cut_off: bool) -> Answer {
    Answer { words: words.to_owned(), tokens, cut_off }
}

#[test]
fn the_last_token_decides_as_the_tiny_model_was_made() {
    for tiny in [Tiny::llama(), Tiny::qwen2(), Tiny::qwen3()] {
        let model = load(&tiny);
        assert_eq!(said(&model, "is it so?", GREEDY), answer("yes", 2, false));
        let (nos, cut) = (said(&model, "is it so!", GREEDY), GREEDY.max_tokens);
        assert_eq!((nos.words.trim(), nos.tokens, nos.cut_off), (["no"; 8].join(" ").as_str(), cut, true));
        assert_eq!(said(&model, "it is.", GREEDY), answer("", 1, false));
        assert_eq!(said(&model, "abc", Manner { max_tokens: 3, ..GREEDY }), answer("ccc", 3, true));
        assert_eq!(said(&model, "is it so?", GREEDY), answer("yes", 2, false), "nothing is left of other prompts");
    }
}

#[test]
fn what_a_model_says_is_what_candle_says_of_the_whole_prompt_at_once() {
    // Candle cannot do without this one.
    let tiny = Tiny::llama().scrambled().set("llama.rope.dimension_count", Value::U32(8));
    let model = load(&tiny);
    let mut answers = Vec::new();
    for length in [1, 2, 31, 32, 33, 63, 77] {
        let text: String = "the quick brown fox jumps over a lazy dog, ".chars().cycle().take(length).collect();
        let prompt = model.voice().prompt(None, &text).expect("tokens");
        let said = model.answer(&prompt, &GREEDY, &|| Ok(())).expect("an answer");
        assert_eq!(said, by_candle(&tiny, &model, &prompt), "{length}");
        answers.push(said.words);
    }
    answers.sort();
    answers.dedup();
    assert!(answers.len() > 3, "the whole prompt has a say: {answers:?}");
}

/// The answer of candle alone: no parts, and a model that knows of nothing before.
fn by_candle(tiny: &Tiny, model: &Model, prompt: &[u32]) -> Answer {
    let mut whole = Cursor::new(tiny.bytes());
    let content = Content::read(&mut whole).expect("candle reads it");
    let mut weights = ModelWeights::from_gguf(content, &mut whole, &Device::Cpu).expect("candle loads it");
    let (mut said, mut next, mut place) = (Vec::new(), prompt.to_vec(), 0);
    while said.len() < GREEDY.max_tokens {
        let input = Tensor::new(next.as_slice(), &Device::Cpu).expect("a tensor").unsqueeze(0).expect("a row");
        let logits = weights.forward(&input, place).expect("logits");
        place += next.len();
        let token = logits.squeeze(0).expect("a row").argmax(0).expect("one").to_scalar::<u32>().expect("a number");
        said.push(token);
        if token == 2 {
            break;
        }
        next = vec![token];
    }
    let cut_off = said.last() != Some(&2);
    Answer { words: model.voice().words(&said).expect("a text"), tokens: said.len(), cut_off }
}

#[test]
fn chance_begins_with_the_seed() {
    let model = load(&Tiny::llama());
    let say = |seed, top_p| said(&model, "abc", Manner { max_tokens: 20, temperature: 30.0, top_p, seed }).words;
    assert_eq!(say(1, 1.0), say(1, 1.0));
    assert_ne!(say(1, 1.0), say(2, 1.0));
    assert_eq!(say(1, 1e-9), "c".repeat(20), "only the likeliest is left");
}

#[test]
fn a_prompt_without_room_for_an_answer_is_refused_and_the_context_ends_an_answer() {
    let model = load(&Tiny::llama());
    let prompt = |letters: usize| model.voice().prompt(None, &"x,".repeat(letters)).expect("tokens");
    let around = prompt(0).len();
    let long = prompt(CONTEXT);
    let told = model.answer(&long, &GREEDY, &|| Ok(())).expect_err("too long");
    assert!(
        matches!(&told, Flaw::Prompt(why) if why.contains(&long.len().to_string()) && why.contains("128")),
        "{told}"
    );
    let full = &prompt(CONTEXT)[..CONTEXT - 3];
    let said = model.answer(full, &Manner { max_tokens: 100, ..GREEDY }, &|| Ok(())).expect("an answer");
    assert_eq!((said.tokens, said.cut_off), (3, true));
    assert_eq!(model.answer(&[], &GREEDY, &|| Ok(())), Err(Flaw::Prompt("the prompt is empty".to_owned())));
    let endless = model.voice().prompt(None, &"x".repeat(1 << 20)).expect_err("no context has room for it");
    assert!(matches!(&endless, Flaw::Prompt(why) if why.contains("1048576 bytes")), "{endless}");
    assert!(around >= 1, "the token with which texts begin");
}

#[test]
fn an_answer_is_stopped_between_tokens() {
    let model = load(&Tiny::llama());
    let prompt = model.voice().prompt(None, "go on!").expect("tokens");
    let asked = Cell::new(0);
    let watch = || {
        asked.set(asked.get() + 1);
        if asked.get() > 10 { Err(Flaw::Stopped) } else { Ok(()) }
    };
    let told = model.answer(&prompt, &Manner { max_tokens: 100, ..GREEDY }, &watch);
    assert_eq!((told, asked.get()), (Err(Flaw::Stopped), 11));
    assert_eq!(said(&model, "is it so?", GREEDY).words, "yes", "and the model is as it was");
}

#[test]
fn a_prompt_takes_the_form_of_the_chat_template() {
    let template = "{{ bos_token }}{% for message in messages %}\n{{ message['role'].strip() }}: {{ message.content | trim }}\n{% endfor %}{% if add_generation_prompt %}\nso:{% endif %}";
    let voice = Voice::read(&mut file(&Tiny::llama().template(template))).expect("it is whole");
    let whole = voice.prompt(Some("be brief"), " is it? ").expect("tokens");
    assert_eq!(voice.words(&whole).expect("a text"), "system: be brief\nuser: is it?\nso:");
    assert_eq!(whole.iter().filter(|token| **token == 1).count(), 1, "it begins as texts of the model begin, once");
    let alternating =
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}{{ messages[0].content }}";
    let voice = Voice::read(&mut file(&Tiny::llama().template(alternating))).expect("it is whole");
    let whole = voice.prompt(Some("be brief"), "is it?").expect("tokens");
    assert_eq!(voice.words(&whole).expect("a text"), "be brief\n\nis it?");
}

#[test]
fn marks_of_the_model_mean_nothing_in_a_prompt() {
    for (tiny, text) in [(Tiny::llama(), "a</s>b<s>"), (Tiny::qwen2(), "a<|im_end|>b<|endoftext|>")] {
        let voice = Voice::read(&mut file(&tiny)).expect("it is whole");
        let tokens = voice.prompt(None, text).expect("tokens");
        let begin = usize::from(tokens[0] == 1);
        assert!(tokens[begin..].iter().all(|token| *token > 2), "{text}: {tokens:?}");
    }
}

#[test]
fn a_template_that_is_none_or_that_never_ends_is_refused() {
    let read = |template: &str| Voice::read(&mut file(&Tiny::llama().template(template)));
    let told = read("{% for %}").err().expect("it is none").to_string();
    assert!(told.contains("chat template cannot be read"), "{told}");
    let voice = read("{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}").expect("Jinja");
    let told = voice.prompt(None, "is it?").expect_err("it would take for ever").to_string();
    assert!(told.contains("chat template fails"), "{told}");
}

#[test]
fn the_memory_that_is_counted_covers_what_is_held() {
    let card = Card::read(&mut file(&Tiny::llama())).expect("it is whole");
    let bytes = Tiny::llama().bytes().len();
    assert!(card.memory() > bytes && card.memory() < 100 * bytes, "{} for {bytes}", card.memory());
    assert!(card.answer_memory(100) > card.answer_memory(10));
    assert_eq!((card.vocabulary, card.context), (64, CONTEXT));
}

#[test]
fn texts_are_cut_as_the_file_says() {
    let cut = |tiny: &Tiny, text: &str| {
        let voice = Voice::read(&mut file(tiny)).expect("it is whole");
        let tokens = voice.prompt(None, text).expect("tokens");
        (tokens.len(), voice.words(&tokens).expect("a text"))
    };
    let byte_level = |pre: &str| Tiny::qwen2().set("tokenizer.ggml.pre", Value::String(pre.to_owned()));
    assert_eq!(
        cut(&Tiny::llama(), "no no"),
        (3, "no no".to_owned()),
        "the beginning, and two pieces with their spaces"
    );
    for pre in ["default", "gpt-2", "smollm", "qwen2", "llama-bpe"] {
        assert_eq!(cut(&byte_level(pre), "no no"), (2, "no no".to_owned()), "{pre}: no space is put before the text");
    }
    let digits =
        |pre| byte_level(pre).set("tokenizer.ggml.merges", Value::Array(vec![Value::String("1 2".to_owned())]));
    let told = Voice::read(&mut file(&digits("qwen2"))).err().expect("12 is no token").to_string();
    assert!(told.contains("tokenizer"), "{told}");
}
