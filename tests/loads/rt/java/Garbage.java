import java.util.ArrayList;
import java.util.List;

/**
 * Keeps LIVE MiB, makes GARBAGE MiB more that nobody needs any longer, says "ready" and waits for
 * its standard input to end. It then counts its objects, to show that it lives.
 */
public final class Garbage {
    private static final int MIB = 1 << 20;
    private static final int PIECE = 1024;

    /** A class of its own, to be found in a histogram. */
    static final class Marker {
        final long number;

        Marker(long number) {
            this.number = number;
        }
    }

    private static List<byte[]> make(int mib) {
        List<byte[]> pieces = new ArrayList<>();

        for (int i = 0; i < mib * (MIB / PIECE); i++) {
            byte[] piece = new byte[PIECE - 16];
            piece[i % piece.length] = 1;
            pieces.add(piece);
        }
        return pieces;
    }

    public static void main(String[] args) throws Exception {
        int live = args.length > 0 ? Integer.parseInt(args[0]) : 4;
        int garbage = args.length > 1 ? Integer.parseInt(args[1]) : 100;
        List<byte[]> kept = make(live);
        Marker[] markers = new Marker[12345];
        Marker[][] table = {markers};

        for (int i = 0; i < markers.length; i++) {
            markers[i] = new Marker(i);
        }
        make(garbage);
        System.out.println("ready");
        System.out.flush();
        while (System.in.read() >= 0) {
            /* until its end */
        }
        System.out.println("kept " + kept.size() + " " + table[0].length);
    }
}
