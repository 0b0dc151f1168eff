package bench;

import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.OffsetDateTime;
import java.util.List;
import java.util.UUID;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.http.ResponseEntity;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

/**
 * The peer of the API's benchmark: an event by id and lists, newest first, as one writes them with Spring Boot. Its JSON has
 * the same fields in the same order as that of millrace-api, 64-bit numbers as strings too.
 */
@SpringBootApplication(proxyBeanMethods = false)
@RestController
public class Peer {
    record Event(UUID id, String type, String source, String site, OffsetDateTime time, Double value, String unit, String note,
                 String topic, int partition, String offset, String xid) {
        static Event of(ResultSet row, int number) throws SQLException {
            return new Event(row.getObject(1, UUID.class), row.getString(2), row.getString(3), row.getString(4),
                row.getObject(5, OffsetDateTime.class), row.getObject(6, Double.class), row.getString(7), row.getString(8),
                row.getString(9), row.getInt(10), row.getString(11), row.getString(12));
        }
    }

    private static final String SELECT =
        "SELECT id, type, source, site, time, value, unit, note, topic, partition, \"offset\", xid FROM events ";

    private final JdbcTemplate jdbc;

    Peer(JdbcTemplate jdbc) {
        this.jdbc = jdbc;
    }

    @GetMapping("/events/{id}")
    ResponseEntity<Event> byId(@PathVariable UUID id) {
        return ResponseEntity.of(jdbc.query(SELECT + "WHERE id = ?", Event::of, id).stream().findFirst());
    }

    @GetMapping("/events")
    List<Event> list(@RequestParam OffsetDateTime to, @RequestParam(defaultValue = "100") int limit) {
        return jdbc.query(SELECT + "WHERE time < ? ORDER BY time DESC, id DESC LIMIT ?", Event::of, to, limit);
    }

    public static void main(String[] args) {
        SpringApplication.run(Peer.class, args);
    }
}
