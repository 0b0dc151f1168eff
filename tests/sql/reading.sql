-- How values are read whose form does not say what they mean: by the definition, never by the session.
BEGIN;
SET LOCAL client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS millrace;
SELECT plan(230);

-- A session that would read and show all of it otherwise.
SET LOCAL timezone = 'Asia/Tokyo';
SET LOCAL datestyle = 'German, DMY';
SET LOCAL intervalstyle = 'sql_standard';
SET LOCAL bytea_output = 'escape';
SET LOCAL extra_float_digits = -10;

CREATE SCHEMA reading_test;
CREATE TYPE reading_test.visit AS (n int, at timestamptz, note text);
CREATE DOMAIN reading_test.day AS date;

CREATE FUNCTION reading_test.outcome(field text, given text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE state text; message text; hint text;
BEGIN
  RETURN millrace.decode('v ' || field, '{"v":' || given || '}') ->> 'v';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
  RETURN state || ' ' || hint;
END $$;

------------------------------------------------------------------ what is unambiguous
SELECT is(reading_test.outcome(field, given), expected, field || ' ' || given)
FROM (VALUES
  ('date', '"2026-05-03"', '2026-05-03'),
  ('date', '"2026/05/03"', '2026-05-03'),
  ('date', '"2026.05.03"', '2026-05-03'),
  ('date', '"20260503"', '2026-05-03'),
  ('date', '"3 May 2026"', '2026-05-03'),
  ('date', '"Sunday, May 3, 2026"', '2026-05-03'),
  ('date', '"03-May-2026"', '2026-05-03'),
  ('date', '"-infinity"', '-infinity'),
  ('date', '"2026-05-03T23:30:00Z"', '2026-05-03'),
  ('timestamp', '"2026-05-03T10:00:00Z"', '2026-05-03T10:00:00'),
  ('timestamp', '"2026-05-03 10:00:00+00:00"', '2026-05-03T10:00:00'),
  ('timestamp', '"May 3, 2026 10:00 UTC"', '2026-05-03T10:00:00'),
  ('timestamptz', '"2026-05-03T10:00:00"', '2026-05-03T10:00:00+00:00'),
  ('timestamptz', '"2026-05-03"', '2026-05-03T00:00:00+00:00'),
  ('timestamptz', '"3 May 2026 10:00 PM"', '2026-05-03T22:00:00+00:00'),
  ('timestamptz', '"Sun, 03 May 2026 10:00:00 GMT"', '2026-05-03T10:00:00+00:00'),
  ('timestamptz', '"Sun, 03 May 2026 10:00:00 +0200"', '2026-05-03T08:00:00+00:00'),
  ('timestamptz', '"20260503T101500Z"', '2026-05-03T10:15:00+00:00'),
  ('timestamptz', '"2026-05-03 10:00 America/Argentina/Buenos_Aires"', '2026-05-03T13:00:00+00:00'),
  ('timestamptz TIME_ZONE ''Europe/Berlin''', '"2026-05-03 10:00"', '2026-05-03T08:00:00+00:00'),
  ('timestamptz TIME_ZONE Europe/Berlin', '"3 May 2026 10:00"', '2026-05-03T08:00:00+00:00'),
  ('timestamptz', '"infinity"', 'infinity'),
  ('time', '"10:00"', '10:00:00'),
  ('time', '"10:00 PM"', '22:00:00'),
  ('time', '"24:00:00"', '24:00:00'),
  ('time(1)', '"10:00:00.16Z"', '10:00:00.2'),
  ('time', '"2026-05-03T10:00:00Z"', '10:00:00'),
  ('timetz', '"10:00"', '10:00:00+00'),
  ('timetz', '"10:00+05:30"', '10:00:00+05:30'),
  ('interval', '"PT1H30M"', '01:30:00'),
  ('interval', '"-1 day +2:03:04"', '-1 days +02:03:04'),
  ('interval', '"-1 2:03:04"', '-1 days +02:03:04'),
  ('interval INTERVAL_STYLE sql_standard', '"-1 2:03:04"', '-1 days -02:03:04'),
  ('float8', '0.1', '0.1'),
  ('reading_test.day', '"2026-05-03"', '2026-05-03'),
  ('date[]', '["2026-05-03", "3 May 2026"]', '["2026-05-03", "2026-05-03"]'),
  ('date[]', '"{2026-05-03,20260504}"', '["2026-05-03", "2026-05-04"]'),
  ('daterange', '"[2026-05-03,2026-05-04)"', '[2026-05-03,2026-05-04)'),
  ('tstzrange', '"[\"2026-05-03 10:00\",\"May 4, 2026\")"', '["2026-05-03 10:00:00+00","2026-05-04 00:00:00+00")'),
  ('datemultirange', '"{[2026-05-03,2026-05-04)}"', '{[2026-05-03,2026-05-04)}'),
  ('reading_test.visit', '"(5,2026-05-03,\"now is the time\")"', '{"n": 5, "at": "2026-05-03T00:00:00+00:00", "note": "now is the time"}')
) t (field, given, expected);

------------------------------------------------------------------ words that mean a moment, wherever they are
SELECT matches(reading_test.outcome(type, given), '^22007 Such a word means another time each time', type || ' ' || given)
FROM unnest('{date,timestamp,timestamptz,time,timetz,reading_test.day}'::text[]) AS t (type),
     unnest('{"now","Today","TOMORROW"," yesterday ","today 10:00","epoch","allballs"}'::text[]) AS g (word), to_json(word) AS j (given_json), CAST(j.given_json AS text) AS q (given)
WHERE word IS NOT NULL AND type <> 'x';
SELECT matches(reading_test.outcome(field, given), '^22007 Such a word', field || ' ' || given)
FROM (VALUES
  ('date[]', '["2026-05-03","tomorrow"]'), ('date[]', '"{2026-05-03,tomorrow}"'), ('timestamptz[]', '[["now"]]'),
  ('tstzrange', '"[now,infinity)"'), ('tsrange', '"[\"2026-05-03\",\"today\"]"'), ('datemultirange', '"{[2026-05-03,tomorrow)}"'),
  ('reading_test.visit', '"(5,now,x)"'), ('daterange[]', '["[today,tomorrow)"]')
) t (field, given);

------------------------------------------------------------------ day first, month first
SELECT is(reading_test.outcome(field, given), expected, field || ' ' || given)
FROM (VALUES
  ('date', '"03/05/2026"', '22007 If the day comes first, add DATE_ORDER ''DMY'' to the field, or declare it as text: to_date(event.v, ''DD/MM/YYYY'').'),
  ('date', '"25/11/2026"', '22007 If the day comes first, add DATE_ORDER ''DMY'' to the field, or declare it as text: to_date(event.v, ''DD/MM/YYYY'').'),
  ('date', '"11/25/2026"', '22007 If the month comes first, add DATE_ORDER ''MDY'' to the field, or declare it as text: to_date(event.v, ''MM/DD/YYYY'').'),
  ('date', '"05.03.2026"', '22007 If the day comes first, add DATE_ORDER ''DMY'' to the field, or declare it as text: to_date(event.v, ''DD.MM.YYYY'').'),
  ('date', '"5-3-26"', '22007 If the day comes first, add DATE_ORDER ''DMY'' to the field, or declare it as text: to_date(event.v, ''DD-MM-YY'').'),
  ('date', '"05 03 2026"', '22007 If the day comes first, add DATE_ORDER ''DMY'' to the field, or declare it as text: to_date(event.v, ''DD MM YYYY'').'),
  ('timestamptz', '"05.03.2026 10:15:00"', '22007 If the day comes first, add DATE_ORDER ''DMY'' to the field, or declare it as text: to_timestamp(event.v, ''DD.MM.YYYY HH24:MI:SS'').'),
  ('date', '"3 May 26"', '22007 Have the producer write the year with four digits, as in 2026-03-01; or add DATE_ORDER ''DMY'', ''MDY'' or ''YMD'' to the field.'),
  ('date', '"05/2026"', '22007 Have the producer write the year with four digits, as in 2026-03-01; or add DATE_ORDER ''DMY'', ''MDY'' or ''YMD'' to the field.'),
  ('date[]', '["03/05/2026"]', '22007 Add DATE_ORDER ''DMY'', ''MDY'' or ''YMD'' to the field.'),
  ('daterange', '"[03/05/2026,04/05/2026)"', '22007 Add DATE_ORDER ''DMY'', ''MDY'' or ''YMD'' to the field.'),
  ('date DATE_ORDER ''DMY''', '"03/05/2026"', '2026-05-03'),
  ('date DATE_ORDER dmy', '"25.11.2026"', '2026-11-25'),
  ('date DATE_ORDER DMY', '"2026-11-25"', '2026-11-25'),
  ('date DATE_ORDER DMY', '"11/25/2026"', '22008 Dates of this field are read day first (DMY).'),
  ('date DATE_ORDER MDY', '"03/05/2026"', '2026-03-05'),
  ('date DATE_ORDER MDY', '"25/11/2026"', '22008 Dates of this field are read month first (MDY).'),
  ('date DATE_ORDER YMD', '"26/05/03"', '2026-05-03'),
  ('date DATE_ORDER DMY', '"3 May 26"', '2026-05-03'),
  ('timestamptz DATE_ORDER DMY', '"05.03.2026 10:15:00"', '2026-03-05T10:15:00+00:00'),
  ('timestamptz DATE_ORDER DMY TIME_ZONE ''Europe/Berlin''', '"05.03.2026 10:15"', '2026-03-05T09:15:00+00:00'),
  ('date[] DATE_ORDER DMY', '["03/05/2026"]', '["2026-05-03"]'),
  ('date[] DATE_ORDER DMY', '"{03/05/2026}"', '["2026-05-03"]'),
  ('daterange DATE_ORDER DMY', '"[03/05/2026,04/05/2026)"', '[2026-05-03,2026-05-04)'),
  ('reading_test.day DATE_ORDER DMY', '"03/05/2026"', '2026-05-03')
) t (field, given, expected);

------------------------------------------------------------------ zones that the type has not
SELECT is(reading_test.outcome(field, given), expected, field || ' ' || given)
FROM (VALUES
  ('timestamp', '"2026-05-03T10:00:00+02:00"', '22007 Declare the field as timestamptz; or add OTHER_ZONE ''convert'' to the field for the time in UTC, or OTHER_ZONE ''drop'' for the time as it is written.'),
  ('timestamp', '"3 May 2026 10:00 Asia/Tokyo"', '22007 Declare the field as timestamptz; or add OTHER_ZONE ''convert'' to the field for the time in UTC, or OTHER_ZONE ''drop'' for the time as it is written.'),
  ('date', '"2026-05-03T23:30:00-08:00"', '22007 Declare the field as timestamptz; or add OTHER_ZONE ''convert'' to the field for the time in UTC, or OTHER_ZONE ''drop'' for the time as it is written.'),
  ('time', '"10:00+02"', '22007 Add OTHER_ZONE ''convert'' to the field for the time in UTC, or OTHER_ZONE ''drop'' for the time as it is written.'),
  ('timestamp[]', '["2026-05-03T10:00:00+02:00"]', '22007 Add OTHER_ZONE ''convert'' to the field for the time in UTC, or OTHER_ZONE ''drop'' for the time as it is written.'),
  ('tsrange', '"[2026-05-03T10:00:00+02:00,)"', '22007 Add OTHER_ZONE ''convert'' to the field for the time in UTC, or OTHER_ZONE ''drop'' for the time as it is written.'),
  ('timestamp OTHER_ZONE ''convert''', '"2026-05-03T10:00:00+02:00"', '2026-05-03T08:00:00'),
  ('timestamp OTHER_ZONE ''drop''', '"2026-05-03T10:00:00+02:00"', '2026-05-03T10:00:00'),
  ('timestamp(0) OTHER_ZONE convert', '"3 May 2026 10:00:00.7 Asia/Tokyo"', '2026-05-03T01:00:01'),
  ('timestamp TIME_ZONE ''Europe/Berlin''', '"2026-05-03T10:00:00+02:00"', '2026-05-03T10:00:00'),
  ('timestamp TIME_ZONE ''Europe/Berlin'' OTHER_ZONE convert', '"2026-05-03T10:00:00Z"', '2026-05-03T12:00:00'),
  ('date OTHER_ZONE convert', '"2026-05-03T23:30:00-08:00"', '2026-05-04'),
  ('date OTHER_ZONE drop', '"2026-05-03T23:30:00-08:00"', '2026-05-03'),
  ('date OTHER_ZONE convert', '"0001-01-01T00:30:00+08:00"', '0001-12-31 BC'),
  ('time OTHER_ZONE convert', '"01:00+02"', '23:00:00'),
  ('time OTHER_ZONE drop', '"10:00+02"', '10:00:00'),
  ('timestamptz', '"2026-05-03 10:00 BST"', '22007 A time zone is an offset such as +02:00, or a name such as Europe/Berlin: abbreviations mean different zones in different countries.'),
  ('timestamptz', '"2026-05-03 10:00 UTC+3"', '22007 A time zone is an offset such as +02:00, or a name such as Europe/Berlin: abbreviations mean different zones in different countries.'),
  ('timetz TIME_ZONE ''Europe/Berlin''', '"10:00"', '22007 The offset of a zone depends on the date. Have the producer write an offset, as in 10:00:00+01.'),
  ('timetz', '"10:00 Europe/Berlin"', '22007 The offset of a zone depends on the date. Have the producer write an offset, as in 10:00:00+01.')
) t (field, given, expected);

------------------------------------------------------------------ numbers for times
SELECT is(reading_test.outcome(field, given), expected, field || ' ' || given)
FROM (VALUES
  ('timestamptz', '1767225600000', '22007 Add EPOCH ''ms'' to the field if these are milliseconds since 1970, or declare it as bigint: to_timestamp(event.v / 1000.0).'),
  ('timestamptz', '"1767225600000"', '22007 Add EPOCH ''ms'' to the field if these are milliseconds since 1970, or declare it as bigint: to_timestamp(event.v / 1000.0).'),
  ('timestamptz', '"1767225600"', '22007 Add EPOCH ''s'' to the field if these are seconds since 1970, or declare it as bigint: to_timestamp(event.v).'),
  ('timestamptz', '1767225600.25', '22007 Add EPOCH ''s'' to the field if these are seconds since 1970, or declare it as numeric: to_timestamp(event.v).'),
  ('timestamptz', '1767225600000000', '22007 Add EPOCH ''us'' to the field if these are microseconds since 1970, or declare it as bigint: to_timestamp(event.v / 1000000.0).'),
  ('timestamp', '1767225600000', '22007 Add EPOCH ''ms'' to the field if these are milliseconds since 1970, or declare it as bigint: to_timestamp(event.v / 1000.0) AT TIME ZONE ''UTC''.'),
  ('date', '20576', '22007 Add EPOCH ''d'' to the field if these are days since 1970, or declare it as integer: date ''1970-01-01'' + event.v.'),
  ('interval', '5400000', '22007 Add EPOCH ''ms'' to the field if these are milliseconds, or declare it as bigint: make_interval(secs => event.v / 1000.0).'),
  ('interval', '"5400000"', '22007 Add EPOCH ''ms'' to the field if these are milliseconds, or declare it as bigint: make_interval(secs => event.v / 1000.0).'),
  ('time', '36000000', '22007 Add EPOCH ''ms'' to the field if these are milliseconds since midnight, or declare it as bigint: time ''00:00'' + make_interval(secs => event.v / 1000.0).'),
  ('timestamptz[]', '[1767225600000]', '22007 Add EPOCH ''ms'' to the field if these are milliseconds, or take it as jsonb.'),
  ('tstzrange', '"[1767225600000,)"', '22007 Add EPOCH ''s'' to the field if these are seconds, or take it as jsonb.'),
  ('timestamptz', 'true', '22007 '),
  ('timestamptz EPOCH ''ms''', '1767225600123', '2026-01-01T00:00:00.123+00:00'),
  ('timestamptz EPOCH ms', '"1767225600123"', '2026-01-01T00:00:00.123+00:00'),
  ('timestamptz EPOCH ms', '"2026-05-03T10:00:00Z"', '2026-05-03T10:00:00+00:00'),
  ('timestamptz EPOCH s', '1767225600.25', '2026-01-01T00:00:00.25+00:00'),
  ('timestamptz EPOCH s', '1.7672256e9', '2026-01-01T00:00:00+00:00'),
  ('timestamptz EPOCH us', '1767225600123456', '2026-01-01T00:00:00.123456+00:00'),
  ('timestamptz EPOCH ns', '1767225600123456789', '2026-01-01T00:00:00.123457+00:00'),
  ('timestamptz EPOCH ms', '-1', '1969-12-31T23:59:59.999+00:00'),
  ('timestamptz EPOCH s', '99999999999999', '22008 '),
  ('timestamptz EPOCH s', '1e400000', '22008 '),
  ('timestamptz(0) EPOCH ms', '1767225600600', '2026-01-01T00:00:01+00:00'),
  ('timestamp EPOCH ms', '1767225600000', '2026-01-01T00:00:00'),
  ('timestamp EPOCH ms TIME_ZONE ''Europe/Berlin''', '1767225600000', '2026-01-01T01:00:00'),
  ('date EPOCH d', '20576', '2026-05-03'),
  ('date EPOCH d', '-1', '1969-12-31'),
  ('date EPOCH d', '"20260503"', '57441-05-17'),
  ('date EPOCH ms', '1767225600000', '2026-01-01'),
  ('date EPOCH ms TIME_ZONE ''America/New_York''', '1767225600000', '2025-12-31'),
  ('interval EPOCH ms', '5400000', '01:30:00'),
  ('interval EPOCH d', '2', '2 days'),
  ('interval EPOCH s', '"90.5"', '00:01:30.5'),
  ('time EPOCH us', '36000000000', '10:00:00'),
  ('time EPOCH s', '86401', '22008 '),
  ('timestamptz[] EPOCH ms', '[1767225600000, "1767225600000"]', '["2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00+00:00"]')
) t (field, given, expected);

------------------------------------------------------------------ bytes
SELECT is(reading_test.outcome(field, given), expected, field || ' ' || given)
FROM (VALUES
  ('bytea', '"\\xdeadBEEF"', '\xdeadbeef'),
  ('bytea', '"0xdeadBEEF"', '\xdeadbeef'),
  ('bytea', '"0XDE"', '\xde'),
  ('bytea', '"3q2+7w=="', '\xdeadbeef'),
  ('bytea', '"3q2-7w"', '\xdeadbeef'),
  ('bytea', '"0xab/w=="', '\xd3169bff'),
  ('bytea', '""', '\x'),
  ('bytea', '"deadbeef"', '22P02 It can be either. Add BYTEA_FORMAT ''hex'' or BYTEA_FORMAT ''base64'' to the field.'),
  ('bytea', '"1234"', '22P02 It can be either. Add BYTEA_FORMAT ''hex'' or BYTEA_FORMAT ''base64'' to the field.'),
  ('bytea', '"0xabc"', '22P02 If the string''s own bytes are meant, add BYTEA_FORMAT ''text'' to the field, or declare it as text.'),
  ('bytea', '"zz zz"', '22P02 If the string''s own bytes are meant, add BYTEA_FORMAT ''text'' to the field, or declare it as text.'),
  ('bytea BYTEA_FORMAT hex', '"deadbeef"', '\xdeadbeef'),
  ('bytea BYTEA_FORMAT hex', '"\\xdeadbeef"', '\xdeadbeef'),
  ('bytea BYTEA_FORMAT hex', '"3q2+7w=="', '22P02 If the string''s own bytes are meant, add BYTEA_FORMAT ''text'' to the field, or declare it as text.'),
  ('bytea BYTEA_FORMAT base64', '"deadbeef"', '\x75e69d6de79f'),
  ('bytea BYTEA_FORMAT text', '"dé"', '\x64c3a9'),
  ('bytea[] BYTEA_FORMAT hex', '["de","ad"]', '["\\xde", "\\xad"]')
) t (field, given, expected);

------------------------------------------------------------------ numbers in strings
SELECT is(reading_test.outcome(field, given), expected, field || ' ' || given)
FROM (VALUES
  ('numeric', '"1.234,5"', '22P02 Add NUMBER_STYLE ''comma'' to the field if its numbers are written as 1.234,5, or NUMBER_STYLE ''point'' if as 1,234.5.'),
  ('integer', '"1,234"', '22P02 Add NUMBER_STYLE ''comma'' to the field if its numbers are written as 1.234,5, or NUMBER_STYLE ''point'' if as 1,234.5.'),
  ('money', '"1,5"', '22P02 Add NUMBER_STYLE ''comma'' to the field if its numbers are written as 1.234,5, or NUMBER_STYLE ''point'' if as 1,234.5.'),
  ('numeric', '"1.234"', '1.234'),
  ('numeric NUMBER_STYLE comma', '"1.234"', '1234'),
  ('numeric NUMBER_STYLE comma', '"-1.234.567,50"', '-1234567.50'),
  ('numeric NUMBER_STYLE comma', U&'"1\00A0234,5"', '1234.5'),
  ('numeric NUMBER_STYLE comma', U&'"1\202F234,5"', '1234.5'),
  ('numeric NUMBER_STYLE comma', '"1''234''567,5"', '1234567.5'),
  ('numeric NUMBER_STYLE comma', '"1,5"', '1.5'),
  ('numeric NUMBER_STYLE comma', '1.5', '1.5'),
  ('numeric NUMBER_STYLE comma', '"1.23"', '22P02 '),
  ('numeric NUMBER_STYLE comma', '"1.234.5"', '22P02 '),
  ('numeric NUMBER_STYLE comma', '"1.234 567,5"', '22P02 Numbers of this field are read as 1.234,5 (NUMBER_STYLE ''comma'').'),
  ('numeric NUMBER_STYLE point', '"1,234.5"', '1234.5'),
  ('numeric NUMBER_STYLE point', '"1,5"', '22P02 Numbers of this field are read as 1,234.5 (NUMBER_STYLE ''point'').'),
  ('integer NUMBER_STYLE point', '"1,234"', '1234'),
  ('float8 NUMBER_STYLE comma', '"1.234,5"', '1234.5'),
  ('float8 NUMBER_STYLE comma', '"NaN"', 'NaN'),
  ('real[] NUMBER_STYLE comma', '["1,5", 2.5]', '[1.5, 2.5]'),
  ('numeric(6,1) NUMBER_STYLE comma', '"1.234,56"', '1234.6'),
  ('money', '12.34', '$12.34'),
  ('money', '"-$12.34"', '-$12.34'),
  ('money NUMBER_STYLE point', '"$1,234.50"', '$1,234.50'),
  ('money NUMBER_STYLE comma', '"1.234,50"', '$1,234.50')
) t (field, given, expected);

------------------------------------------------------------------ the options of a field, and the arguments
SELECT throws_ok(format('SELECT millrace.decode(%L, %L)', list, '{}'), state::char(5), message, 'list: ' || list)
FROM (VALUES
  ('v date DATE_ORDER ''DYM''', '22023', 'DATE_ORDER of field "v" is "DYM", expected ISO, DMY, MDY or YMD'),
  ('v timestamptz TIME_ZONE ''Mars/Olympus''', '22023', 'TIME_ZONE of field "v" is "Mars/Olympus", expected the name of a time zone, such as UTC or Europe/Berlin'),
  ('v timestamptz TIME_ZONE ''localtime''', '22023', 'TIME_ZONE of field "v" is "localtime", expected the name of a time zone, such as UTC or Europe/Berlin'),
  ('v timestamptz TIME_ZONE ''UTC+3''', '22023', 'TIME_ZONE of field "v" is "UTC+3", expected the name of a time zone, such as UTC or Europe/Berlin'),
  ('v text EPOCH ''ms''', '42P17', 'EPOCH is nothing for field "v" of type text'),
  ('v date BYTEA_FORMAT hex', '42P17', 'BYTEA_FORMAT is nothing for field "v" of type date'),
  ('v date EPOCH', '42601', 'syntax error at end of field list'),
  ('v date DEFAULT ''tomorrow''', '42P17', 'DEFAULT of field "v" is not a constant'),
  ('v timestamptz DEFAULT ''now''::timestamptz', '42P17', 'DEFAULT of field "v" is not a constant'),
  ('v date DEFAULT ''03/04/2026''', '22007', 'DEFAULT of field "v" can be read in more than one way')
) t (list, state, message);
SELECT is(millrace.decode('epoch bigint, date_order text NOT NULL DEFAULT ''epoch'', t timestamp with time zone /* EPOCH s */ PATH ''$."EPOCH s"'' EPOCH ms NOT NULL, "epoch ms" int',
  '{"epoch": 5, "EPOCH s": 1767225600000, "epoch ms": 7}'),
  '{"t": "2026-01-01T00:00:00+00:00", "epoch": 5, "epoch ms": 7, "date_order": "epoch"}', 'what is no option');
SELECT is(millrace.decode('d date, e date DATE_ORDER MDY, t timestamptz, b bytea, i interval', '{"d": "03/05/2026", "e": "03/05/2026", "t": 1767225600, "b": "de", "i": 90}',
    date_order => 'DMY', bytea_format => 'hex', epoch => 's'),
  '{"b": "\\xde", "d": "2026-05-03", "e": "2026-03-05", "i": "00:01:30", "t": "2026-01-01T00:00:00+00:00"}', 'arguments are for the fields that say nothing else');
SELECT throws_ok($$ SELECT millrace.decode('v int', '{}', date_order => 'x') $$, '22023', 'date_order is "x", expected ISO, DMY, MDY or YMD', 'a wrong argument');
SELECT is(millrace.field_columns('at timestamptz EPOCH ms, day date DATE_ORDER ''DMY'' NOT NULL'), 'at timestamp with time zone, day date', 'options are no columns');
SELECT is(current_setting('timezone') || ' ' || current_setting('datestyle'), 'Asia/Tokyo German, DMY', 'the session stays as it was');

SELECT * FROM finish();
ROLLBACK;
