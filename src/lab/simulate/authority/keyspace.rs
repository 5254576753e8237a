//! A Valkey server in memory, as far as the function library of the lease authority sees one: hashes, a clock, a replication
//! id, and Lua 5.1. The library is the one that is loaded into a server.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use mlua::{Function, Lua, MultiValue, Table, Value, Variadic};

use crate::store::valkey::lease::{self, LIBRARY, ServerId};
use crate::units::{AdvertiserId, UnixMillis};

type Bytes = Vec<u8>;

/// What a server holds. A copy of it is a replica.
#[derive(Clone, Debug, Default)]
pub struct Keyspace {
    hashes: BTreeMap<Bytes, BTreeMap<Bytes, Bytes>>,
    /// Keys that end by themselves, by Unix time in ms.
    ends: BTreeMap<Bytes, u64>,
}

#[derive(Debug)]
struct Inside {
    keyspace: Keyspace,
    now: UnixMillis,
    id: ServerId,
}

/// The server.
#[derive(Debug)]
pub struct Server {
    lua: Lua,
    inside: Rc<RefCell<Inside>>,
}

impl Server {
    /// With the library loaded.
    ///
    /// # Panics
    /// If the library is not Lua.
    pub fn new(id: ServerId) -> Self {
        let lua = Lua::new();
        let inside = Rc::new(RefCell::new(Inside { keyspace: Keyspace::default(), now: UnixMillis(0), id }));
        load(&lua, &inside).expect("the function library loads");
        Self { lua, inside }
    }

    /// Calls a function of the library about an advertiser.
    ///
    /// # Errors
    /// What the library raised: of a server this would be an error reply.
    pub fn call(
        &self,
        now: UnixMillis,
        function: lease::Function,
        advertiser: AdvertiserId,
        args: &[&[u8]],
    ) -> Result<Vec<u8>, String> {
        self.inside.borrow_mut().now = now;
        let run = || -> mlua::Result<Vec<u8>> {
            let functions: Table = self.lua.named_registry_value("functions")?;
            let function: Function = functions.get(function.name())?;
            let keys = self.lua.create_sequence_from([lease::key(advertiser)])?;
            let args = args.iter().map(|arg| self.lua.create_string(arg)).collect::<mlua::Result<Vec<_>>>()?;
            let reply: mlua::LuaString = function.call((keys, self.lua.create_sequence_from(args)?))?;
            Ok(reply.as_bytes().to_vec())
        };
        run().map_err(|error| error.to_string())
    }

    /// What it holds.
    pub fn keyspace(&self) -> Keyspace {
        self.inside.borrow().keyspace.clone()
    }

    /// Another copy takes over: it holds this, and has another replication id.
    pub fn take_over(&self, keyspace: Keyspace, id: ServerId) {
        let mut inside = self.inside.borrow_mut();
        (inside.keyspace, inside.id) = (keyspace, id);
    }

    /// Its replication id.
    pub fn id(&self) -> ServerId {
        self.inside.borrow().id
    }
}

fn load(lua: &Lua, inside: &Rc<RefCell<Inside>>) -> mlua::Result<()> {
    let functions = lua.create_table()?;
    lua.set_named_registry_value("functions", &functions)?;
    let redis = lua.create_table()?;
    let register = move |_: &Lua, named: Table| {
        functions.set(named.get::<mlua::LuaString>("function_name")?, named.get::<Function>("callback")?)
    };
    redis.set("register_function", lua.create_function(register)?)?;
    let shared = Rc::clone(inside);
    redis.set(
        "call",
        lua.create_function(move |lua, args: Variadic<mlua::LuaString>| shared.borrow_mut().run(lua, &args))?,
    )?;
    let packing = lua.create_table()?;
    packing.set("pack", lua.create_function(pack)?)?;
    packing.set("unpack", lua.create_function(unpack)?)?;
    lua.globals().set("redis", redis)?;
    lua.globals().set("struct", packing)?;
    // The first line is for the server.
    let code = LIBRARY.split_once('\n').map_or("", |(_, code)| code);
    lua.load(code).set_name("corebid.lua").exec()
}

impl Inside {
    fn run(&mut self, lua: &Lua, args: &[mlua::LuaString]) -> mlua::Result<Value> {
        let args: Vec<Bytes> = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
        let (name, args) = args.split_first().ok_or_else(|| mlua::Error::runtime("no command"))?;
        let now = self.now.0;
        let ended: Vec<_> =
            self.keyspace.ends.iter().filter(|(_, end)| **end <= now).map(|(key, _)| key.clone()).collect();
        for key in ended {
            self.keyspace.ends.remove(&key);
            self.keyspace.hashes.remove(&key);
        }
        let text = |bytes: &[u8]| lua.create_string(bytes).map(Value::String);
        let list = |items: Vec<mlua::Result<Value>>| {
            Ok(Value::Table(lua.create_sequence_from(items.into_iter().collect::<mlua::Result<Vec<_>>>()?)?))
        };
        let maybe = |bytes: Option<&Bytes>| bytes.map_or(Ok(Value::Boolean(false)), |bytes| text(bytes));
        let hashes = &mut self.keyspace.hashes;
        match (name.as_slice(), args) {
            (b"TIME", []) => {
                list(vec![text((now / 1000).to_string().as_bytes()), text((now % 1000 * 1000).to_string().as_bytes())])
            }
            (b"INFO", [_]) => text(&[b"role:master\r\nmaster_replid:", self.id.0.as_slice(), b"\r\n"].concat()),
            (b"HGET", [key, field]) => maybe(hashes.get(key).and_then(|hash| hash.get(field))),
            (b"HMGET", [key, fields @ ..]) => {
                let hash = hashes.get(key);
                list(fields.iter().map(|field| maybe(hash.and_then(|hash| hash.get(field)))).collect())
            }
            (b"HGETALL", [key]) => {
                let pairs = hashes.get(key).into_iter().flatten();
                list(pairs.flat_map(|(field, value)| [text(field), text(value)]).collect())
            }
            (b"HKEYS", [key]) => {
                list(hashes.get(key).into_iter().flat_map(BTreeMap::keys).map(|key| text(key)).collect())
            }
            (b"HSET", [key, pairs @ ..]) if !pairs.is_empty() && pairs.len().is_multiple_of(2) => {
                let hash = hashes.entry(key.clone()).or_default();
                hash.extend(pairs.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())));
                Ok(Value::Integer(0))
            }
            (b"HDEL", [key, fields @ ..]) => {
                if let Some(hash) = hashes.get_mut(key) {
                    fields.iter().for_each(|field| _ = hash.remove(field));
                    if hash.is_empty() {
                        hashes.remove(key);
                    }
                }
                Ok(Value::Integer(0))
            }
            (b"UNLINK", [key]) => {
                hashes.remove(key);
                self.keyspace.ends.remove(key);
                Ok(Value::Integer(0))
            }
            (b"PEXPIREAT", [key, at]) => {
                let at = str::from_utf8(at).ok().and_then(|at| at.parse().ok());
                let at = at.ok_or_else(|| mlua::Error::runtime("value is not an integer or out of range"))?;
                self.keyspace.ends.insert(key.clone(), at);
                Ok(Value::Integer(1))
            }
            _ => Err(mlua::Error::runtime(format!("unknown command {}", String::from_utf8_lossy(name)))),
        }
    }
}

/// One item of a format of the server's `struct` library, little endian: `I` and `i` with their bytes, `B`, and `c` with its length; `c0`
/// packs all of a string.
fn items(format: &str) -> impl Iterator<Item = mlua::Result<(u8, usize)>> + '_ {
    let mut rest = format.strip_prefix('<').unwrap_or(format).as_bytes();
    std::iter::from_fn(move || {
        let (&letter, after) = rest.split_first()?;
        let digits = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let size = str::from_utf8(&after[..digits]).ok().and_then(|digits| digits.parse().ok());
        rest = &after[digits..];
        Some(match (letter, size) {
            (b'B', None) => Ok((b'B', 1)),
            (b'I' | b'i' | b'c', Some(size)) if letter == b'c' || size <= 8 => Ok((letter, size)),
            _ => Err(mlua::Error::runtime(format!("format {format} is not known"))),
        })
    })
}

fn pack(lua: &Lua, (format, values): (mlua::LuaString, Variadic<Value>)) -> mlua::Result<mlua::LuaString> {
    let (mut out, mut values) = (Vec::new(), values.into_iter());
    for item in items(&format.to_str()?) {
        let (letter, size) = item?;
        let value = values.next().unwrap_or_default();
        match (letter, value) {
            (b'c', Value::String(text)) if size == 0 => out.extend(&*text.as_bytes()),
            (b'c', Value::String(text)) if text.as_bytes().len() >= size => out.extend(&text.as_bytes()[..size]),
            (b'c', _) => return Err(mlua::Error::runtime("string too short")),
            (_, Value::Integer(number)) => out.extend(&number.to_le_bytes()[..size]),
            #[allow(clippy::cast_possible_truncation, reason = "whole numbers below 2^53, or the end of the run")]
            (_, Value::Number(number)) if number.fract() == 0.0 && number.abs() < 9.1e15 => {
                out.extend(&(number as i64).to_le_bytes()[..size]);
            }
            (_, value) => return Err(mlua::Error::runtime(format!("a whole number was expected, got {value:?}"))),
        }
    }
    lua.create_string(out)
}

fn unpack(
    lua: &Lua,
    (format, bytes, from): (mlua::LuaString, mlua::LuaString, Option<usize>),
) -> mlua::Result<MultiValue> {
    let (bytes, mut at, mut values) = (bytes.as_bytes(), from.unwrap_or(1) - 1, Vec::new());
    for item in items(&format.to_str()?) {
        let (letter, size) = item?;
        let part = bytes.get(at..at + size).ok_or_else(|| mlua::Error::runtime("data string too short"))?;
        at += size;
        if letter == b'c' {
            values.push(Value::String(lua.create_string(part)?));
            continue;
        }
        let negative = letter == b'i' && part.last().is_some_and(|last| *last >= 0x80);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[..size].copy_from_slice(part);
        #[allow(clippy::cast_precision_loss, reason = "as the server's own library does")]
        let number = if letter == b'i' { i64::from_le_bytes(wide) as f64 } else { u64::from_le_bytes(wide) as f64 };
        values.push(Value::Number(number));
    }
    values.push(Value::Number((at + 1) as f64));
    Ok(MultiValue::from_iter(values))
}
