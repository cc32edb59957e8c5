import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.util.Properties;

/** Binds values to a prepared statement by JDBC, one after the other: Prepared HOST PORT RUN STEP TOKEN. */
public class Prepared {
    public static void main(String[] args) throws Exception {
        String host = args[0], port = args[1], run = args[2], step = args[3], token = args[4];
        Properties login = new Properties();
        login.put("token", token);
        login.put("useEncryption", "false");
        String query = "SELECT count(*) FROM \"" + run + "\".\"" + step + "\" WHERE \"Age\" > ? AND \"Department\" = ?";
        try (Connection db = DriverManager.getConnection("jdbc:arrow-flight-sql://" + host + ":" + port, login);
             PreparedStatement statement = db.prepareStatement(query)) {
            for (int age : new int[] {0, 40, 200}) {
                statement.setLong(1, age);
                statement.setString(2, args[5]);
                try (ResultSet result = statement.executeQuery()) {
                    result.next();
                    System.out.println("above " + age + ": " + result.getLong(1));
                }
            }
        }
    }
}
