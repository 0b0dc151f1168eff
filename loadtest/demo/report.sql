-- What became of the weather. Variables: ms (milliseconds it took), events, missing, damaged (as the producer says).
\pset footer off

\echo 'Rate and outcome: every event ended in exactly one place'
SELECT to_char(s.events, 'FM999,999,999') AS events,
       to_char(:ms / 1000.0, 'FM990.0') || ' s' AS took,
       to_char(s.events * 1000 / :ms, 'FM999,999,999') AS "events/s",
       s.written, s.filtered, s.superseded, s.dead,
       CASE WHEN s.events = :events AND s.filtered = :missing AND s.dead = :damaged
            THEN 'as produced' ELSE 'NOT AS PRODUCED' END AS "check"
FROM millrace.stats AS s WHERE s.pipeline = 'weather';
\echo '  filtered: observations that are missing in the data (null)'
\echo '  superseded: of the hour that came twice when the clocks went back the later event counts; the earlier one is'
\echo '    superseded when they come in one batch, and overwritten (written) when they do not'
\echo

\echo 'The weather of 2013, in SI units'
SELECT station, name, altitude_m AS "alt m", observations, mean_temp_c AS "mean °C", round(min_temp_c::numeric, 1) AS "min °C",
       round(max_temp_c::numeric, 1) AS "max °C", round(max_gust_m_s::numeric, 1) AS "gust m/s", precipitation_mm AS "rain mm"
FROM weather_by_station ORDER BY station;

\echo 'A window of one day: the mean temperature of each station, °C, on the days of July 2013'
SELECT CASE part WHEN 3 THEN station END AS station,
       CASE part WHEN 3 THEN high WHEN 0 THEN low END AS "°C",
       string_agg(CASE WHEN step IS NULL OR step <= 8 * part THEN ' ' WHEN step >= 8 * part + 8 THEN '█' ELSE substr('▁▂▃▄▅▆▇', step - 8 * part, 1) END,
                  '' ORDER BY day) AS "1                            31"
FROM (SELECT s.code AS station, d.day, scale.low, scale.high, 1 + round((w.mean - scale.low) / (scale.high - scale.low) * 31)::integer AS step
      FROM station AS s
      CROSS JOIN generate_series(timestamp '2013-07-01', '2013-07-31', '1 day') AS d (day)
      CROSS JOIN (SELECT floor(min(mean)) AS low, ceil(max(mean)) AS high FROM millrace.window_temperature_by_day
                  WHERE window_start >= '2013-07-01 00:00-04' AND window_start < '2013-08-01 00:00-04') AS scale
      LEFT JOIN millrace.window_temperature_by_day AS w ON w.station = s.code AND w.window_start = d.day AT TIME ZONE 'America/New_York') AS days
CROSS JOIN generate_series(3, 0, -1) AS part
GROUP BY days.station, part, low, high ORDER BY days.station, part DESC;

\echo 'What failed and why: the original bytes are kept'
SELECT count, stage, sqlstate, left(message, 70) AS "message (of the last one)", left(payload, 56) AS "its payload begins"
FROM millrace.dead_letter_groups WHERE pipeline = 'weather' ORDER BY count DESC, stage, sqlstate, message;
