import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.util.Properties;
import org.apache.arrow.flight.*;
import org.apache.arrow.memory.RootAllocator;

/** Reads what a step of a run has kept, by Flight and by JDBC: ReadKept HOST PORT RUN STEP TOKEN. */
public class ReadKept {
    public static void main(String[] args) throws Exception {
        String host = args[0], port = args[1], run = args[2], step = args[3], token = args[4];
        FlightCallHeaders headers = new FlightCallHeaders();
        headers.insert("authorization", "Bearer " + token);
        HeaderCallOption options = new HeaderCallOption(headers);
        Location location = Location.forGrpcInsecure(host, Integer.parseInt(port));
        try (RootAllocator memory = new RootAllocator(); FlightClient client = FlightClient.builder(memory, location).build()) {
            FlightInfo info = client.getInfo(FlightDescriptor.path("runs", run, step), options);
            long rows = 0;
            try (FlightStream stream = client.getStream(info.getEndpoints().get(0).getTicket(), options)) {
                while (stream.next()) rows += stream.getRoot().getRowCount();
            }
            System.out.println("flight: " + rows + " rows of " + info.getSchema().getFields().size() + " columns");
        }
        Properties login = new Properties();
        login.put("token", token);
        login.put("useEncryption", "false");
        String query = "SELECT count(*) FROM \"" + run + "\".\"" + step + "\"";
        try (Connection db = DriverManager.getConnection("jdbc:arrow-flight-sql://" + host + ":" + port, login);
             ResultSet result = db.createStatement().executeQuery(query)) {
            result.next();
            System.out.println("jdbc: " + result.getLong(1) + " rows");
        }
    }
}
